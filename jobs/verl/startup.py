"""The phases of a run's start, as ``trainyard_node.hooks.startup`` tells them: in their order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.verl.algorithms import RL
from jobs.verl.releases import BEFORE_09


@dataclass(frozen=True)
class Phase:
    name: str
    label: str


UPDATE = Phase("update", "First update")  # with it the start is over
VALIDATION = Phase("validation", "Validation before training")
MODEL = Phase("model", "Model")
PROCESSES = Phase("processes", "Processes")
OF_RL = (
    Phase("ray", "Ray"),
    Phase("workers", "Workers"),
    MODEL,
    Phase("rollout", "Rollout engine"),
    VALIDATION,
    Phase("answers", "First answers"),
    UPDATE,
)
PHASES: Mapping[str, Sequence[Phase]] = {
    "sft": (PROCESSES, MODEL, UPDATE),
    "dpo": (PROCESSES, MODEL, Phase("reference", "Reference"), UPDATE),
    **dict.fromkeys(RL, OF_RL),
}


def phases_of(kind: str, release: str, values: Mapping[str, Any]) -> Sequence[Phase]:
    """Those that a run goes through; none where its release has no place to tell them from."""
    if release in BEFORE_09:
        return ()
    has_validation = bool(values.get("val_before_train"))
    return [phase for phase in PHASES[kind] if has_validation or phase != VALIDATION]
