"""A checkpoint as a Hugging Face folder, by verl's merger on the machine where it lies."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from jobs.kinds.base import End, Reads, Verdict
from jobs.kinds.maker import FOLDER, ModelMaker
from jobs.process import Command, Placement


@dataclass(frozen=True)
class ExportSpec:
    """``checkpoint`` is the ``global_step_N`` folder of job ``job`` (its number), on its machine.

    ``keep_adapter`` leaves a LoRA adapter beside the weights instead of folding it into them.
    """

    job: int = 0
    step: int = 0
    checkpoint: str = ""
    keep_adapter: bool = False

    @property
    def kind(self) -> str:
        return Export.slug

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Export(ModelMaker):
    slug: ClassVar[str] = "export"
    label: ClassVar[str] = "Export"
    done: ClassVar[str] = "exported"

    def read(self, data: Mapping[str, Any]) -> ExportSpec:
        known = {field.name for field in fields(ExportSpec)}
        return ExportSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: ExportSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        more = ("--keep-adapter",) if spec.keep_adapter else ()
        target = f"{placement.run_dir}/{FOLDER}"
        return self.program(placement, "export", spec.checkpoint, target, *more)

    def judge(self, spec: ExportSpec, end: End) -> Verdict:
        return self.worth(end, f"Step {spec.step} is exported")

    def reads(self, spec: ExportSpec) -> Reads:
        return Reads(inputs={"checkpoint": spec.checkpoint})
