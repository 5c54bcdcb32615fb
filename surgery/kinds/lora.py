"""LoRA adapters merged into a model, and extracted out of one, on the machine where they lie."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from jobs.kinds.base import ADAPTER, End, FileFact, Product, Read, Reads, Verdict
from jobs.kinds.maker import FOLDER, ModelMaker
from jobs.process import Command, Placement
from surgery.kinds.reading import as_list, as_number, named, named_by

OF_ADAPTER = "adapter"  # the folder below the run directory


@dataclass(frozen=True)
class LoraMergeSpec:
    """Each of ``adapters`` has a ``path`` and a ``weight``."""

    base: str = ""
    adapters: Sequence[Mapping[str, Any]] = field(default_factory=list)
    dtype: str = ""

    @property
    def kind(self) -> str:
        return LoraMerge.slug

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_node(self) -> dict[str, Any]:
        told = {"base": self.base, "adapters": [dict(each) for each in self.adapters]}
        return told | ({"dtype": self.dtype} if self.dtype else {})


@dataclass(frozen=True)
class LoraExtractSpec:
    """The change from ``base`` to ``tuned`` as an adapter, of a ``rank`` or of a share of the
    change, ``energy``. With ``keep``, changed norms and embeddings lie beside it whole."""

    base: str = ""
    tuned: str = ""
    rank: int | None = None
    energy: float | None = None
    keep: bool = False

    @property
    def kind(self) -> str:
        return LoraExtract.slug

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_node(self) -> dict[str, Any]:
        told = {name: value for name, value in asdict(self).items() if value is not None}
        return told if self.keep else {name: told[name] for name in told if name != "keep"}


class LoraMerge(ModelMaker):
    slug: ClassVar[str] = "lora_merge"
    label: ClassVar[str] = "LoRA merge"
    done: ClassVar[str] = "made"
    can_look: ClassVar[bool] = True

    def read(self, data: Mapping[str, Any]) -> LoraMergeSpec:
        known = {each.name for each in fields(LoraMergeSpec)}
        return LoraMergeSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: LoraMergeSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        text, target = json.dumps(spec.to_node()), f"{placement.run_dir}/{FOLDER}"
        return self.program(placement, "lora", "merge", "--text", text, "--out", target)

    def is_repeatable(self, spec: LoraMergeSpec) -> bool:
        return True

    def judge(self, spec: LoraMergeSpec, end: End) -> Verdict:
        return self.worth(end, "The model is made")

    def reads(self, spec: LoraMergeSpec) -> Reads:
        paths = [str(each.get("path", "")) for each in as_list(spec.adapters)]
        return Reads(inputs={"base": spec.base, **named("adapter", paths)})


class LoraExtract(ModelMaker):
    slug: ClassVar[str] = "lora_extract"
    label: ClassVar[str] = "LoRA extraction"
    done: ClassVar[str] = "made"
    can_look: ClassVar[bool] = True

    def read(self, data: Mapping[str, Any]) -> LoraExtractSpec:
        known = {each.name for each in fields(LoraExtractSpec)}
        return LoraExtractSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: LoraExtractSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        text, target = json.dumps(spec.to_node()), f"{placement.run_dir}/{OF_ADAPTER}"
        return self.program(placement, "lora", "extract", "--text", text, "--out", target)

    def judge(self, spec: LoraExtractSpec, end: End) -> Verdict:
        said = end.said.get(self.done)
        if end.exit_code != 0 or said is None:
            return self.not_made(end)
        error = as_number(said.get("error"))
        told = "" if error is None else f": what it lacks is {error:.3g} of the change"
        return Verdict("completed", f"The adapter is made{told}.")

    def makes(self, spec: LoraExtractSpec) -> Sequence[Product]:
        return (Product(ADAPTER, OF_ADAPTER),)

    def newest_model(self, files: Iterable[FileFact], read: Read) -> str | None:
        return None

    def reads(self, spec: LoraExtractSpec) -> Reads:
        return Reads(inputs={"base": spec.base, named_by(spec.tuned): spec.tuned})
