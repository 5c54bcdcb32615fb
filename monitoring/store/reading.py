"""Reading points: of one run or of one metric over many runs, whole or thinned to a chart."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from django.db.models import F, QuerySet

from jobs.models import Job
from monitoring.models import Block, MetricStore, MetricWrite, Series
from monitoring.series.column import EMPTY, Column, Values, merged
from monitoring.series.encoding import Buffer, read_column, read_frames
from monitoring.series.frame import columns
from monitoring.series.summary import Summary
from monitoring.series.thinning import middles, thinned

NONE: Values = np.empty(0, np.float64)


@dataclass(frozen=True)
class Window:
    """Points of a series, and of how many they are chosen; ``bad`` of all are not finite.

    Where they are chosen, ``middles`` are the means of the equal parts that they are chosen from.
    """

    column: Column
    count: int
    bad: int
    middles: Values = field(default_factory=lambda: NONE)

    @property
    def is_thinned(self) -> bool:
        return len(self.column) < self.count


def position(jobs: Iterable[Job]) -> dict[int, int]:
    """Each job's cursor: what is read after this call has all points up to it."""
    found = dict.fromkeys((job.pk for job in jobs), 0)
    rows = MetricStore.objects.filter(job__in=found)
    return found | dict(rows.values_list("job_id", "number"))


def window(
    job: Job,
    names: Collection[str],
    low: int | None = None,
    high: int | None = None,
    width: int | None = None,
) -> dict[str, Window]:
    """The points of the named series from step ``low`` to ``high``, both included.

    For a chart of ``width`` pixels they are thinned; without a width every point is there. A series
    that does not exist is left out.
    """
    named = dict(Series.objects.filter(job=job, name__in=names).values_list("pk", "name"))
    found = _read(dict.fromkeys(named, job.pk), low, high)
    return {named[pk]: _window(column, width) for pk, column in found.items()}


def across(jobs: Iterable[Job], name: str, width: int | None = None) -> dict[int, Window]:
    """The points of one metric in many jobs, by the job's id; jobs without it are left out."""
    rows = Series.objects.filter(job__in=[job.pk for job in jobs], name=name)
    owners = dict(rows.values_list("pk", "job_id"))
    return {owners[pk]: _window(column, width) for pk, column in _read(owners).items()}


def at_steps(
    steps: Mapping[int, Collection[int]], names: Collection[str]
) -> dict[int, dict[int, dict[str, float]]]:
    """The values of the named series at these steps of each job: by job, step and name.

    A step at which a series has no point is left out. It takes as many queries for any number.
    """
    asked = {step for each in steps.values() for step in each}
    rows = Series.objects.filter(job__in=[pk for pk, each in steps.items() if each])
    known = {pk: (job, name) for pk, job, name in _named(rows.filter(name__in=names))}
    found: dict[int, dict[int, dict[str, float]]] = {}
    owners = {pk: job for pk, (job, _) in known.items()}
    for pk, column in _read(owners, min(asked, default=0), max(asked, default=0)).items():
        job, name = known[pk]
        is_asked = np.isin(column.steps, np.array(list(steps[job]), dtype=np.int64))
        pairs = zip(column.steps[is_asked].tolist(), column.values[is_asked].tolist(), strict=True)
        for step, value in pairs:
            found.setdefault(job, {}).setdefault(step, {})[name] = value
    return found


def _named(rows: QuerySet[Series]) -> Iterable[tuple[int, int, str]]:
    return rows.values_list("pk", "job_id", "name")


def times(job: Job) -> Column:
    """The epoch seconds at which each step was first written, as far as it is known."""
    clock = Series.everything.filter(job=job, is_clock=True).values_list("pk", flat=True)
    found = _read(dict.fromkeys(clock, job.pk))
    return next(iter(found.values()), EMPTY)


def clocks(jobs: Iterable[Job]) -> dict[int, Column]:
    """The times of several jobs, by the job's id; jobs without any are left out."""
    rows = Series.everything.filter(job__in=[job.pk for job in jobs], is_clock=True)
    owners = dict(rows.values_list("pk", "job_id"))
    return {owners[pk]: column for pk, column in _read(owners).items()}


def last(job: Job, names: Collection[str] | None = None) -> dict[str, Summary]:
    """Last value, bounds and number of points of each series of a job, or of some, by name."""
    rows = Series.objects.filter(job=job)
    rows = rows if names is None else rows.filter(name__in=names)
    return {series.name: series.summary for series in rows}


def all_names(job: Job) -> list[str]:
    """The names of a job's series, in order."""
    return list(Series.objects.filter(job=job).order_by("name").values_list("name", flat=True))


def highest(jobs: Iterable[int], name: str) -> dict[int, float]:
    """The highest finite value that a metric had in each job, by the job's id."""
    rows = Series.objects.filter(job__in=jobs, name=name).values_list("job_id", "high")
    return {pk: high for pk, high in rows if high is not None}


def _window(column: Column, width: int | None) -> Window:
    shown = column if width is None else thinned(column, width)
    bad = int(np.count_nonzero(~np.isfinite(column.values)))
    is_whole = width is None or len(shown) == len(column)
    return Window(shown, len(column), bad, NONE if is_whole else middles(column, width or 1))


def _read(
    owners: Mapping[int, int], low: int | None = None, high: int | None = None
) -> dict[int, Column]:
    """The points of series by id; ``owners`` maps each series to its job."""
    # The newest first: what goes into a block in between is then there twice, and not missing.
    newest = _newest(owners)
    found: dict[int, list[Column]] = {}
    for pk, first, end, steps, values in _blocks(owners, low, high):
        found.setdefault(pk, []).append(read_column(steps, values, first, end))
    for pk, column in newest.items():
        found.setdefault(pk, []).append(column)
    return {pk: merged(parts).within(low, high) for pk, parts in found.items()}


def _newest(owners: Mapping[int, int]) -> dict[int, Column]:
    rows = MetricWrite.objects.filter(
        store__in=set(owners.values()), number__gt=F("store__folded")
    ).order_by("store", "number")
    data = rows.values_list("data", flat=True)
    return columns((frame for part in data for frame in read_frames(part)), only=owners)


def _blocks(
    owners: Collection[int], low: int | None, high: int | None
) -> Iterable[tuple[int, int, int, Buffer, Buffer]]:
    rows = Block.objects.filter(series__in=owners).order_by("series", "first_step")
    rows = rows if low is None else rows.filter(last_step__gte=low)
    rows = rows if high is None else rows.filter(first_step__lte=high)
    return rows.values_list("series", "first_step", "last_step", "steps", "values")
