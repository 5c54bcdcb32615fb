"""Which of the times that a trainer logs add up to a step, and which knobs move them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.verl.algorithms import RL
from jobs.verl.knobs import BY_NAME

PREFIX = "timing_s/"
STEP, SAVE = "step", "save_checkpoint"
TESTING, VALIDATE = "testing", "validate"


@dataclass(frozen=True)
class Work:
    """Parts of a step that are one sort of work. ``bound`` says what a run is where most of its
    time goes there, and ``knobs`` move that time."""

    slug: str
    bound: str
    knobs: tuple[str, ...] = ()

    @property
    def knob_labels(self) -> list[str]:
        return [BY_NAME[name].label for name in self.knobs]


@dataclass(frozen=True)
class Part:
    """A time that a trainer logs as ``timing_s/<name>``. One that ``is_beside`` is no part of
    ``timing_s/step``: it comes on top of it."""

    name: str
    label: str
    work: Work
    is_beside: bool = False

    @property
    def metric(self) -> str:
        return f"{PREFIX}{self.name}"


ROLLOUT = Work(
    "rollout",
    "rollout-bound: it waits for answers",
    ("max_num_seqs", "gpu_memory", "tensor_parallel", "enforce_eager", "max_response_length"),
)
REWARD = Work("reward", "reward-bound: it waits for scores", ("reward_file", "reward_model"))
LOG_PROB = Work(
    "log-prob",
    "bound by log-probabilities",
    ("log_prob_micro_batch_size", "max_tokens_per_gpu", "remove_padding", "use_kl_loss"),
)
UPDATE = Work(
    "update",
    "bound by updates",
    ("micro_batch_size", "max_tokens_per_gpu", "gradient_checkpointing", "param_offload"),
)
SYNC = Work(
    "sync",
    "bound by weights on their way to the rollout",
    ("free_cache", "tensor_parallel", "param_offload"),
)
SWITCH = Work("switch", "bound by switching between rollout and training")
SAVING = Work("saving", "bound by checkpoints", ("save_freq", "save_contents"))
VALIDATION = Work("validation", "bound by validation", ("test_freq", "val_n"))
DATA = Work("data", "bound by loading data", ("train_batch_size", "max_length"))
OTHER = Work("other", "slow in small things")
UNMEASURED = Work("unmeasured", "slow where its trainer measures nothing, such as moving batches")

OF_RL = (
    Part("switch_wait", "Wait for answers", ROLLOUT),
    Part("switch_to_trainer", "Switch to training", SWITCH),
    Part("gen", "Answers", ROLLOUT),
    Part("gen_max", "Greedy answers", ROLLOUT),
    Part("reward", "Rewards", REWARD),
    Part("old_log_prob", "Log-probabilities", LOG_PROB),
    Part("ref", "Reference", LOG_PROB),
    Part("values", "Values", LOG_PROB),
    Part("adv", "Advantages", OTHER),
    Part("update_critic", "Critic's update", UPDATE),
    Part("update_actor", "Policy's update", UPDATE),
    Part(SAVE, "Checkpoint", SAVING),
    Part("switch_to_rollout", "Switch to rollout", SWITCH),
    Part("update_weights", "Weights to the rollout", SYNC),
    Part("dump_rollout_generations", "Writing answers down", OTHER),
    Part(TESTING, "Validation", VALIDATION, is_beside=True),
)
SUPERVISED = (
    Part("data", "Data", DATA, is_beside=True),
    Part(STEP, "Update", UPDATE),
    Part(VALIDATE, "Validation", VALIDATION, is_beside=True),
    Part(SAVE, "Checkpoint", SAVING, is_beside=True),
)
REST = Part("", "Not measured", UNMEASURED)
PARTS: Mapping[str, Sequence[Part]] = {
    "sft": SUPERVISED,
    "dpo": SUPERVISED,
    **dict.fromkeys(RL, OF_RL),
}
