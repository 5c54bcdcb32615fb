"""A model or a checkpoint as a Hugging Face folder, with what shall be another, where it lies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from jobs.kinds.base import End, Reads, Verdict
from jobs.kinds.maker import FOLDER, ModelMaker
from jobs.process import Command, Placement
from surgery.kinds.reading import named_by


@dataclass(frozen=True)
class ConvertSpec:
    """What is empty, 0 or None stays as it is. ``layers`` are those of the source, in their new
    order."""

    source: str = ""
    dtype: str = ""
    shard_bytes: int = 0
    vocab: int = 0
    layers: Sequence[int] | None = None
    quantize: str = ""

    @property
    def kind(self) -> str:
        return Convert.slug

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_node(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in ("", 0, None)}


class Convert(ModelMaker):
    slug: ClassVar[str] = "convert"
    label: ClassVar[str] = "Conversion"
    done: ClassVar[str] = "made"
    can_look: ClassVar[bool] = True

    def read(self, data: Mapping[str, Any]) -> ConvertSpec:
        known = {each.name for each in fields(ConvertSpec)}
        return ConvertSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: ConvertSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        text, target = json.dumps(spec.to_node()), f"{placement.run_dir}/{FOLDER}"
        return self.program(placement, "convert", "--text", text, "--out", target)

    def is_repeatable(self, spec: ConvertSpec) -> bool:
        return True

    def judge(self, spec: ConvertSpec, end: End) -> Verdict:
        return self.worth(end, "The model is made")

    def reads(self, spec: ConvertSpec) -> Reads:
        return Reads(inputs={named_by(spec.source): spec.source})
