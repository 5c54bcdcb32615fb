"""All kinds of job: Trainyard's own, and those of installed packages.

A package brings kinds by entry points of the group ``trainyard.kinds``, each of which names a
``JobKind`` that can be made without arguments:

    [project.entry-points."trainyard.kinds"]
    count = "my_package.count:Count"

An app above brings its own by ``bring``, in its ``apps.py``.

One that cannot be loaded is left out and named (``Registry.problems``): it never stops the site.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from jobs.kinds import dryfire
from jobs.kinds.base import PANELS, End, JobKind, Spec, Verdict
from jobs.kinds.export import Export
from jobs.kinds.imported import Imported
from jobs.kinds.rehearsal import Rehearsal
from jobs.kinds.train import TRAINING
from jobs.process import Command, Placement

GROUP = "trainyard.kinds"
SLUG = re.compile(r"[a-z][a-z0-9_]{0,29}")
OWN: tuple[JobKind, ...] = (
    *TRAINING, Export(), Rehearsal(), dryfire.RAY, dryfire.TORCHRUN, Imported(),
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """An entry point that brought no kind, and why, as a sentence."""

    name: str
    why: str


@dataclass(frozen=True)
class Registry:
    """``kinds`` by slug, Trainyard's own first."""

    kinds: Mapping[str, JobKind]
    problems: tuple[Problem, ...] = ()

    def find(self, slug: str) -> JobKind:
        """The kind of a job. One that is not installed (any more) is a ``Missing`` one."""
        return self.kinds.get(slug) or Missing(slug)

    def with_recipes(self) -> dict[str, str]:
        """The label of each that recipes can fill, by its slug."""
        return {slug: kind.label for slug, kind in self.kinds.items() if kind.has_recipes}

    def choices(self) -> list[tuple[str, str]]:
        """(slug, label) of each."""
        return [(slug, kind.label) for slug, kind in self.kinds.items()]


class Missing(JobKind):
    """A kind whose package is not installed. Its jobs are shown, and do nothing any more."""

    def __init__(self, slug: str) -> None:
        self.slug = slug  # type: ignore[misc]
        self.label = slug  # type: ignore[misc]

    def read(self, data: Mapping[str, Any]) -> "Unread":
        return Unread(self.slug, data)

    def command(self, spec: Any, placement: Placement, origins: Mapping[str, str]) -> Command:
        raise ValueError(self._why)

    def judge(self, spec: Any, end: End) -> Verdict:
        return Verdict("failed", f"Exit code {end.exit_code}. {self._why}")

    def cannot_save(self, spec: Any) -> str:
        return self._why

    @property
    def _why(self) -> str:
        return f"There is no kind of job {self.slug}: the package that brought it is not installed."


@dataclass(frozen=True)
class Unread:
    """A spec that nobody can read: it is kept as it is."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return dict(self.data)


_brought: list[JobKind] = []


def bring(*kinds: JobKind) -> None:
    """Add kinds of an app above. It is called while apps are made ready, each kind once.

    Raises ``RuntimeError`` once the registry was read: some would know the kinds and some not.
    """
    if registry.cache_info().currsize:
        raise RuntimeError("The registry of kinds was read before all kinds were brought.")
    _brought.extend(kinds)


@cache
def registry() -> Registry:
    """The kinds of this installation. What is installed later is seen by the next process."""
    return collect((*OWN, *_brought), entry_points(group=GROUP))


def kind_of(spec: Spec) -> JobKind:
    """The kind that understands a spec."""
    return registry().find(spec.kind)


def collect(own: Iterable[JobKind], found: Iterable[EntryPoint]) -> Registry:
    """The registry of these kinds and entry points; of two with one slug the first is kept."""
    kinds, problems = {kind.slug: kind for kind in own}, []
    for entry in sorted(found, key=lambda entry: entry.name):
        try:
            kind = _loaded(entry)
            if kind.slug in kinds:
                raise ValueError(f"there is a kind {kind.slug} already")
        except Exception as error:
            # A stranger's code may raise anything, and the site must come up.
            problems.append(Problem(f"{entry.name} = {entry.value}", _in_words(error)))
        else:
            kinds[kind.slug] = kind
    return Registry(kinds, tuple(problems))


def _loaded(entry: EntryPoint) -> JobKind:
    kind = entry.load()()
    if not isinstance(kind, JobKind):
        raise TypeError("it is no JobKind")
    slug, label = getattr(kind, "slug", None), getattr(kind, "label", None)
    if not isinstance(slug, str) or not SLUG.fullmatch(slug):
        raise ValueError(f"its slug is {slug!r}: it begins with a letter, and has at most 30 of a "
                         "to z, 0 to 9 and _")  # fmt: skip
    if not isinstance(label, str) or not label:
        raise ValueError("it has no label")
    if not set(kind.panels) <= set(PANELS) or len(kind.panels) > len(set(kind.panels)):
        raise ValueError(f"its panels are {kind.panels!r}, which are not some of "
                         f"{', '.join(PANELS)}, each once")  # fmt: skip
    return kind


def _in_words(error: Exception) -> str:
    return f"It brings no kind of job: {type(error).__name__}: {error}."
