"""A run that ran elsewhere and was recorded by another tool: it is looked at, and never starts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from jobs.kinds.base import End, JobKind, Verdict
from jobs.process import Command, Placement
from jobs.verl.key_metrics import KEY_METRICS

WHY_NOT = "An imported run ran elsewhere: it has no command, and never starts here."


@dataclass(frozen=True)
class ImportedSpec:
    """``tool`` recorded it, ``source`` is the file or folder that it was read from, and ``config``
    has its settings by name."""

    tool: str = ""
    source: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return Imported.slug

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Imported(JobKind):
    slug: ClassVar[str] = "imported"
    label: ClassVar[str] = "Imported"
    ran_elsewhere: ClassVar[bool] = True
    panels: ClassVar[Sequence[str]] = ("charts", "log", "events")

    def read(self, data: Mapping[str, Any]) -> ImportedSpec:
        known = {field.name for field in fields(ImportedSpec)}
        return ImportedSpec(**{name: value for name, value in data.items() if name in known})

    def command(
        self, spec: ImportedSpec, placement: Placement, origins: Mapping[str, str]
    ) -> Command:
        raise ValueError(WHY_NOT)

    def judge(self, spec: ImportedSpec, end: End) -> Verdict:
        return Verdict("failed", WHY_NOT)

    def recorded(self, spec: ImportedSpec) -> Mapping[str, Any]:
        return spec.config if isinstance(spec.config, Mapping) else {}

    def cannot_save(self, spec: ImportedSpec) -> str:
        return WHY_NOT

    def values(self, spec: ImportedSpec) -> Mapping[str, Any]:
        return spec.config

    def key_metrics(self, spec: ImportedSpec) -> Sequence[str]:
        """Those of any algorithm: which one it was is not always told."""
        return [*dict.fromkeys(name for names in KEY_METRICS.values() for name in names)]
