"""How a model is scored: by the validation loss that verl's own SFT trainer computes of it.

A run of SFT validates after its last step. With a learning rate of 0 that step changes nothing, so
what is then validated is the model as it was made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.kinds.trial import TRAINERS
from jobs.process import Command, Placement
from jobs.verl.spec import TrainSpec

METRIC = "val/loss"
STEP = 1
# One step that changes nothing, and of a checkpoint as little as there can be.
FIXED: Mapping[str, int | float | str] = {
    "lr": 0.0, "steps": STEP, "save_freq": -1, "test_freq": -1, "save_contents": "extra",
}  # fmt: skip


@dataclass(frozen=True)
class Judge:
    """The run by whose data and settings models are scored: its number, its kind and its spec."""

    job: int = 0
    of: str = "sft"
    train: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Any) -> "Judge | None":
        """None for what names no run of training."""
        known = isinstance(data, Mapping) and data.get("of") in TRAINERS
        train = data.get("train") if known else None
        return cls(data.get("job", 0), data["of"], train) if isinstance(train, Mapping) else None

    @property
    def training(self) -> TrainSpec:
        return TrainSpec.from_json(self.of, self.train)

    def placed(self, paths: Mapping[str, str]) -> "Judge":
        values = {**self.train.get("values", {}), **paths}
        return replace(self, train={**self.train, "values": values})

    def command(self, placement: Placement, model: str) -> Command:
        """The trainer's own, which scores a model in the folder of the placement."""
        kind, spec = TRAINERS[self.of], self.training
        values = {**spec.values, **FIXED, kind.base_model: model, "loggers": ""}
        return kind.command(replace(spec, values=values), placement, {})
