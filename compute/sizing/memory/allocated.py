"""What the allocator of the training process shows, which is what verl measures as a run's peak."""

from collections.abc import Mapping

from compute.sizing import answer
from compute.sizing.answer import Memory
from compute.sizing.memory import rollout
from compute.sizing.question import Question

# Phases in which the training process works. The rollout and the reward model have their own.
TRAINING = (answer.UPDATE, answer.CRITIC, answer.LOG_PROB, answer.REF, answer.VALUES)


def allocated(question: Question, memory: Memory) -> Mapping[str, int]:
    """Bytes of PyTorch's allocator on one GPU at the peak of each phase of training.

    That is without contexts and communication (``overhead``), and without what the engine of the
    rollout keeps in a process of its own. All roles that verl puts onto one card are one process
    (``create_colocated_worker_cls``), so that what the other ones keep is in it.
    """
    return beside(rollout.asleep(question), memory.phases)


def beside(elsewhere: int, phases: Mapping[str, Mapping[str, int]]) -> Mapping[str, int]:
    """The same of phases, of which ``elsewhere`` bytes are another process's."""
    return {
        phase: sum(parts.values()) - parts["overhead"] - min(elsewhere, parts["others"])
        for phase, parts in phases.items()
        if phase in TRAINING
    }


def peak_of(phases: Mapping[str, int]) -> int:
    """The highest of them: verl's figure is the highest since the process began."""
    return max(phases.values())
