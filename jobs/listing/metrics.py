"""Which metrics a word of a filter stands for."""

from functools import cached_property

from jobs import measured
from jobs.models import JobQuerySet


class Metrics:
    """The metrics of the jobs that a user may see. Each word is looked up once: a filter can name
    one often, and the list asks again every few seconds."""

    def __init__(self, jobs: JobQuerySet) -> None:
        self._jobs = jobs
        self._under: dict[str, list[str]] = {}

    def under(self, word: str) -> list[str]:
        """The metric of this name, and those whose names begin with it and a slash."""
        if word not in self._under:
            group = f"{word}/"
            near = [name for name in self._all if name == word or name.startswith(group)]
            self._under[word] = measured.names_had(self._jobs, near)
        return self._under[word]

    @cached_property
    def _all(self) -> list[str]:
        return measured.all_names()
