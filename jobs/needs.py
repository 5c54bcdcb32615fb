"""What apps above still need of what jobs made. They register themselves; here nobody knows why.

A firm need keeps it from being deleted. Another one is told to whoever deletes it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Need:
    """``said`` is a sentence. ``paths`` are the models that are needed; without one, it is all that
    the job has."""

    said: str
    is_firm: bool
    paths: tuple[str, ...] = ()

    def is_of(self, path: str) -> bool:
        """Whether what is needed lies at this path, or below."""
        return not self.paths or any(PurePosixPath(p).is_relative_to(path) for p in self.paths)


Needs = Mapping[int, Sequence[Need]]  # by job
Source = Callable[[Collection[int]], Needs]

_sources: list[Source] = []


def register(source: Source) -> None:
    _sources.append(source)


def needs_of(jobs: Collection[int]) -> Needs:
    """What is needed of these jobs; one of which nothing is needed is left out."""
    found = dict[int, list[Need]]()
    for source in _sources if jobs else ():
        for job, needs in source(jobs).items():
            found.setdefault(job, []).extend(needs)
    return found
