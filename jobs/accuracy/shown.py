"""How good estimates were: of one run, and of many."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, F, Max
from django.db.models.functions import Abs

from jobs.fit.ledger import PHASES
from jobs.models import Job, Outcome, OutcomeQuerySet

FILTERS = ("gpu", "family", "algorithm")
ERRORS = ("peak_error", "time_error")
SORTS = ("at", "job", *FILTERS, *ERRORS)


@dataclass(frozen=True)
class Row:
    """One figure: ``estimated`` and ``measured`` in bytes or seconds, as ``is_size`` says, and the
    error as a share of what was measured."""

    name: str
    estimated: float
    measured: float
    is_size: bool = False

    @property
    def error(self) -> float:
        return self.estimated / self.measured - 1

    def as_json(self) -> dict[str, Any]:
        figures = {"estimated": self.estimated, "measured": self.measured, "error": self.error}
        return {"name": self.name, "unit": "bytes" if self.is_size else "seconds", **figures}


def outcome_of(job: Job) -> dict[str, Any]:
    """What the page of a job shows of its estimate; nothing where nothing was measured."""
    outcome = Outcome.objects.filter(job=job).first()
    return {"outcome": outcome, "outcome_rows": rows_of(outcome) if outcome else []}


def rows_of(outcome: Outcome) -> list[Row]:
    """The figures that were both estimated and measured: the peak, the step, its phases."""
    rows = []
    if outcome.measured_peak:
        rows.append(Row("Peak memory", outcome.estimated_peak, outcome.measured_peak, True))
    if outcome.measured_seconds:
        rows.append(Row("A step", outcome.estimated_seconds, outcome.measured_seconds))
    measured: Mapping[str, float] = outcome.measured_phases
    for phase, label in PHASES.items():
        if phase in measured and phase in outcome.estimated_phases:
            rows.append(Row(label, outcome.estimated_phases[phase], measured[phase]))
    return rows


def chosen(outcomes: OutcomeQuerySet, filters: Mapping[str, str]) -> OutcomeQuerySet:
    """Those of one card, family or algorithm, where that is asked, with their errors."""
    wanted = {name: filters[name] for name in FILTERS if filters.get(name)}
    return outcomes.filter(**wanted).with_errors()


def ordered(outcomes: OutcomeQuerySet, sort: str) -> OutcomeQuerySet:
    """By a column; an error by its size, whether above or below. Those without one come last."""
    name = sort.removeprefix("-")
    by = Abs(name) if name in ERRORS else F("job__name" if name == "job" else name)
    order = by.desc(nulls_last=True) if sort[0] == "-" else by.asc(nulls_last=True)
    return outcomes.order_by(order, "-pk")


def known_sort(asked: str) -> str:
    return asked if asked.removeprefix("-") in SORTS else "-at"


def summary_of(outcomes: OutcomeQuerySet) -> dict[str, Any]:
    """Of all these runs: how many measured each figure, and its mean and worst error."""
    told: dict[str, Any] = {}
    for name in ERRORS:
        size = Abs(name)
        told |= {f"{name}_runs": Count(name), f"{name}_mean": Avg(size), f"{name}_worst": Max(size)}
    found: dict[str, Any] = outcomes.aggregate(runs=Count("pk"), **told)
    return found
