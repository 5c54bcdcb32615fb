"""What the metrics of jobs say. The app that keeps them registers itself as their source."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.db.models import Q, QuerySet

SAVE_TIME = "timing_s/save_checkpoint"  # the metric of a save's duration, in seconds
LAST, LOW, HIGH = "last", "low", "high"
FIGURES = (LAST, LOW, HIGH)
Jobs = QuerySet[Any]  # of jobs; this module lies below their model


@dataclass(frozen=True)
class Figure:
    """Of one metric of a job. NaN is None, and so is a bound where no value is finite."""

    step: int
    last: float | None
    low: float | None
    high: float | None


class Source(Protocol):
    """Answers by the ids of jobs. A job that has no such metric is left out."""

    def greatest(self, job_ids: Collection[int], metric: str) -> Mapping[int, float]:
        """The greatest finite value of a metric in each job."""

    def figures(
        self, job_ids: Collection[int], metrics: Collection[str]
    ) -> Mapping[str, Mapping[int, Figure]]:
        """The figures of metrics in each job: by metric, then by job."""

    def names(self, job_ids: Collection[int], most: int) -> list[str]:
        """The metrics that any of the jobs has, the first ``most`` of them."""

    def all_names(self) -> list[str]:
        """The metrics of all jobs, whoever may see them."""

    def names_had(self, jobs: Jobs, names: Collection[str]) -> list[str]:
        """Those of these metrics that any of the jobs has."""

    def holding(self, metrics: Collection[str], figure: str, lookup: str, value: Any) -> Q:
        """The condition on jobs that in any of the metrics ``last``, ``low`` or ``high`` compares
        with the value as the lookup says, or with the values after ``in``."""

    def counts(self, job_ids: Collection[int]) -> Mapping[int, int]:
        """How many points each job has, over all its metrics."""

    def steady(self, job_id: int, metrics: Collection[str]) -> Mapping[str, float]:
        """The median of each metric over a job's steps but the first, by name.

        One that has fewer than two steps is left out: the first step of a run is no usual one.
        """

    def pace(self, job_id: int) -> float | None:
        """The median of the seconds between two steps; None where fewer than three are known."""

    def at_steps(
        self, steps: Mapping[int, Collection[int]], metrics: Collection[str]
    ) -> Mapping[int, Mapping[int, Mapping[str, float]]]:
        """What metrics were at these steps of each job: by job, step and name.

        What was not logged at a step is left out there.
        """

    def note(self, job: Any, step: int, values: Mapping[str, float]) -> None:
        """Give a job's series further values at a step; a value that is there is overwritten."""

    def ordered(self, jobs: Jobs, metric: str, by: str) -> Jobs:
        """The jobs by ``last``, ``low`` or ``high`` of a metric, after ``-`` from above.

        Jobs without it come last.
        """


_source: list[Source] = []


def register(source: Source) -> None:
    _source[:] = [source]


def longest_saves(job_ids: Collection[int]) -> Mapping[int, float]:
    """Seconds that the longest save of each job took, by id; a job that never saved is left out."""
    return _source[0].greatest(job_ids, SAVE_TIME) if _source and job_ids else {}


def figures_of(job_ids: Collection[int], metric: str) -> Mapping[int, Figure]:
    """The figures of a metric in each job that has it, by id."""
    return figures_of_all(job_ids, [metric]).get(metric, {})


def figures_of_all(
    job_ids: Collection[int], metrics: Collection[str]
) -> Mapping[str, Mapping[int, Figure]]:
    """The same of several metrics, by name; one that none of the jobs has is left out."""
    return _source[0].figures(job_ids, metrics) if _source and job_ids and metrics else {}


def all_names() -> list[str]:
    """The metrics of all jobs: see ``names_had`` for those that somebody may see."""
    return _source[0].all_names() if _source else []


def names_had(jobs: Jobs, names: Collection[str]) -> list[str]:
    """Those of these metrics that any of the jobs has."""
    return _source[0].names_had(jobs, names) if _source and names else []


def holding(metrics: Collection[str], figure: str, lookup: str, value: Any) -> Q:
    """The condition on jobs: see ``Source.holding``."""
    return _source[0].holding(metrics, figure, lookup, value) if _source else Q(pk__in=[])


def names_of(job_ids: Collection[int], most: int) -> list[str]:
    """The metrics that any of the jobs has, by name."""
    return _source[0].names(job_ids, most) if _source and job_ids else []


def counts(job_ids: Collection[int]) -> Mapping[int, int]:
    """How many points each job has, over all its metrics, by id."""
    return _source[0].counts(job_ids) if _source and job_ids else {}


def steady(job_id: int, metrics: Collection[str]) -> Mapping[str, float]:
    """The usual value of each metric in a job: see ``Source.steady``."""
    return _source[0].steady(job_id, metrics) if _source else {}


def pace(job_id: int) -> float | None:
    """The usual seconds from one step of a job to the next, if they are known."""
    return _source[0].pace(job_id) if _source else None


def at_steps(
    steps: Mapping[int, Collection[int]], metrics: Collection[str]
) -> Mapping[int, Mapping[int, Mapping[str, float]]]:
    """What metrics were at these steps of each job: see ``Source.at_steps``."""
    return _source[0].at_steps(steps, metrics) if _source and metrics else {}


def note(job: Any, step: int, values: Mapping[str, float]) -> None:
    """Give a job's series values that its run did not write: see ``Source.note``."""
    if _source and values:
        _source[0].note(job, step, values)


def ordered(jobs: Jobs, metric: str, by: str) -> Jobs:
    """The jobs by a figure of a metric: see ``Source.ordered``."""
    return _source[0].ordered(jobs, metric, by) if _source else jobs
