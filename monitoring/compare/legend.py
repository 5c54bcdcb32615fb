"""The table of the runs: their last and best values, and how far they are from a baseline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from jobs import measured
from jobs.colours import colour_of, dash_of
from jobs.events import SAID
from jobs.listing.columns import Column
from jobs.listing.fields import figure_of
from jobs.models import Event, Job
from jobs.verl.better import is_best_higher
from jobs.verl.key_metrics import TWINS, scores_among
from monitoring.compare import lines
from monitoring.compare.question import Question
from monitoring.models import Series
from monitoring.store import points

MOST_CHARTS = 8  # without any metric in the address
MOST_EVENTS = 100
MOST_NAMES = 1000


@dataclass(frozen=True)
class Cell:
    """A metric of a run; differences are in percent of the baseline's value."""

    metric: str
    last: float | None
    step: int | None
    best: float | None
    at: float | None
    last_by: str
    best_by: str


@dataclass(frozen=True)
class Row:
    job: Job
    cells: Sequence[Cell]
    is_hidden: bool
    is_baseline: bool

    @property
    def colour(self) -> int:
        return colour_of(self.job.pk)

    @property
    def dash(self) -> int:
        return dash_of(self.job.pk)


def groups_of(jobs: Sequence[Job], setting: Column | None) -> list[tuple[str, int, int]]:
    """The groups of runs: name, colour, and how many runs it has."""
    groups = lines.groups_of(jobs, setting) if setting else {}
    return [(name, colour_of(at), len(each)) for at, (name, each) in enumerate(groups.items())]


def metrics_of(question: Question, jobs: Sequence[Job]) -> list[str]:
    """What the address names, or else the key metrics of the runs that any of them has."""
    if question.metrics or not jobs:
        return list(question.metrics)
    names = [name for job in jobs for name in job.job_kind.key_metrics(job.spec_of_kind)]
    rows = Series.objects.filter(job__in=[job.pk for job in jobs]).order_by()
    counts = dict(rows.values_list("name").annotate(runs=Count("pk"))[:MOST_NAMES])
    known = [name for name in dict.fromkeys(names) if name in counts]
    # A reward is most often the score: without a choice of the reader's one of the two stands.
    known = [name for name in known if TWINS.get(name) not in known]
    return ([*scores_among(counts), *known] or sorted(counts))[:MOST_CHARTS]


def rows_of(question: Question, jobs: Sequence[Job], metrics: Sequence[str]) -> list[Row]:
    ids = [job.pk for job in jobs]
    figures = measured.figures_of_all(ids, metrics)
    at: Mapping[int, Any] = {}
    if question.at is not None:
        at = points.at_steps({pk: [question.at] for pk in ids}, metrics)
    base = question.baseline if question.baseline in ids else None
    return [
        Row(
            job,
            [_cell(question, job, metric, figures.get(metric, {}), at, base) for metric in metrics],
            job.pk in question.hidden,
            job.pk == base,
        )
        for job in jobs
    ]


def _cell(
    question: Question,
    job: Job,
    metric: str,
    figures: Mapping[int, measured.Figure],
    at: Mapping[int, Any],
    base: int | None,
) -> Cell:
    figure, other = figures.get(job.pk), figures.get(base or 0)
    step = figure.step if figure else None
    here = at.get(job.pk, {}).get(question.at, {}).get(metric)
    mine, theirs = (_values(each, metric) for each in (figure, other))
    if job.pk == base:
        theirs = None, None
    differences = [_percent(value, of) for value, of in zip(mine, theirs, strict=True)]
    return Cell(metric, mine[0], step, mine[1], here, *differences)


def _values(figure: measured.Figure | None, metric: str) -> tuple[float | None, float | None]:
    """The last value, and the best one where the metric's name says which that is."""
    if figure is None:
        return None, None
    name = figure_of(metric, "best")
    last = float("nan") if figure.last is None else figure.last
    return last, getattr(figure, name) if name else None


def _percent(value: float | None, of: float | None) -> str:
    """How far a value is from another one; empty where that is no number."""
    if value is None or not of or not math.isfinite(by := 100 * (value - of) / abs(of)):
        return ""
    return f"{by:+.0f} %" if abs(by) >= 99.95 else f"{by:+.1f} %"


def sides_of(metrics: Sequence[str]) -> dict[str, str]:
    """What the best value of each metric is: its greatest, its least, or nothing known."""
    words = {None: "", True: "greatest", False: "least"}
    return {metric: words[is_best_higher(metric)] for metric in metrics}


def events_of(jobs: Sequence[Job]) -> list[Event]:
    """The newest of all the runs: what happened to them, and not what people say of them."""
    known = {job.pk: job for job in jobs}
    happened = Event.objects.filter(job__in=known).exclude(kind__in=SAID)
    events = list(happened.order_by("-at", "-pk")[:MOST_EVENTS])
    for event in events:
        event.job = known[event.job_id]
    return events
