"""A checkpoint as a Hugging Face folder, by verl's merger on the machine where it lies."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from jobs.kinds.base import (
    MODEL,
    End,
    FileFact,
    JobKind,
    Measured,
    Product,
    Read,
    Reads,
    Verdict,
    ended_early,
)
from jobs.process import Command, Placement
from jobs.verl.saved_model import is_whole
from platform_site.counts import size_text

FOLDER = "model"  # below the run directory
SHA_256 = re.compile(r"[0-9a-f]{64}")
DONE = "exported"  # what the process says when the folder is there and whole


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


class Export(JobKind):
    slug: ClassVar[str] = "export"
    label: ClassVar[str] = "Export"
    unit: ClassVar[str] = "MiB"
    units: ClassVar[str] = "MiB"
    panels: ClassVar[Sequence[str]] = ("charts", "log", "system", "events", "config")

    def read(self, data: Mapping[str, Any]) -> ExportSpec:
        known = {field.name for field in fields(ExportSpec)}
        return ExportSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: ExportSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        target = f"{placement.run_dir}/{FOLDER}"
        more = ("--keep-adapter",) if spec.keep_adapter else ()
        argv = ("-m", "trainyard_node.export", spec.checkpoint, target, *more)
        env = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        return Command((placement.python, *argv), env, placement.run_dir)

    def judge(self, spec: ExportSpec, end: End) -> Verdict:
        said = end.said.get(DONE)
        if end.exit_code == 0 and said is not None:
            tensors, size = said.get("tensors", "?"), said.get("bytes")
            told = f", {size_text(size)}" if isinstance(size, int | float) else ""
            return Verdict("completed", f"Step {spec.step} is exported: {tensors} tensors{told}.")
        return ended_early(end, self.unit)

    def reads(self, spec: ExportSpec) -> Reads:
        return Reads(inputs={"checkpoint": spec.checkpoint})

    def makes(self, spec: ExportSpec) -> Sequence[Product]:
        return (Product(MODEL, FOLDER),)

    def measured(self, product: Product, said: Mapping[str, Mapping[str, Any]]) -> Measured:
        told = said.get(DONE, {})
        size, digest = told.get("bytes"), str(told.get("digest", ""))
        is_size = type(size) is int and 0 <= size < 2**63
        return Measured(size if is_size else None, digest if SHA_256.fullmatch(digest) else "")

    def newest_model(self, files: Iterable[FileFact], read: Read) -> str | None:
        names = {file.path for file in files if file.size and "/" not in file.path}
        return "" if is_whole(names, read) else None

    def values(self, spec: ExportSpec) -> Mapping[str, Any]:
        return spec.to_json()
