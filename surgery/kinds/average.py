"""The average of several checkpoints or models, on the machine where they lie."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from jobs.kinds.base import End, Reads, Verdict
from jobs.kinds.maker import FOLDER, ModelMaker
from jobs.process import Command, Placement
from surgery.kinds.reading import as_list, models

UNIFORM, LAST, EMA, WEIGHTED, METRIC = "uniform", "last", "ema", "weights", "metric"


@dataclass(frozen=True)
class AverageSpec:
    """``checkpoints`` are in their order; each has a ``path`` and a ``step``, and a ``value`` where
    the method goes by values: its weight, or the value of ``metric`` at its step."""

    method: str = UNIFORM
    checkpoints: Sequence[Mapping[str, Any]] = field(default_factory=list)
    last: int | None = None
    decay: float | None = None
    metric: str = ""
    higher_is_better: bool | None = None
    dtype: str = ""

    @property
    def kind(self) -> str:
        return Average.slug

    @property
    def read(self) -> list[str]:
        """The folders that are read."""
        paths = [str(each.get("path", "")) for each in as_list(self.checkpoints)]
        return paths[-self.last :] if self.method == LAST and self.last else paths

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_node(self) -> dict[str, Any]:
        """As ``trainyard_node.average`` reads it: it has just the keys that the method needs."""
        is_by_value = self.method in (WEIGHTED, METRIC)
        told: dict[str, Any] = {
            "method": "weighted" if is_by_value else self.method,
            "checkpoints": [dict(each) for each in self.checkpoints],
        }
        if self.method == LAST:
            told["last"] = self.last
        if self.method == EMA:
            told["decay"] = self.decay
        if is_by_value:
            told["higher_is_better"] = self.method == WEIGHTED or self.higher_is_better
        return told | ({"dtype": self.dtype} if self.dtype else {})


class Average(ModelMaker):
    slug: ClassVar[str] = "average"
    label: ClassVar[str] = "Average"
    done: ClassVar[str] = "made"
    can_look: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True

    def read(self, data: Mapping[str, Any]) -> AverageSpec:
        known = {each.name for each in fields(AverageSpec)}
        return AverageSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: AverageSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        target = f"{placement.run_dir}/{FOLDER}"
        return self.program(
            placement, "average", "--text", json.dumps(spec.to_node()), "--out", target
        )

    def judge(self, spec: AverageSpec, end: End) -> Verdict:
        return self.worth(end, "The average is made")

    def reads(self, spec: AverageSpec) -> Reads:
        return Reads(inputs=models(spec.read))
