"""Where the steps of runs lie on an axis: steps, hours, tokens, GPU-hours, or what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.fit.lookups import Lookups
from jobs.fit.services import NotKnown
from jobs.models import Event, Job
from jobs.verl.key_metrics import TOKENS
from monitoring.page.timing import move_of
from monitoring.series.column import Column, Steps, Values
from monitoring.store import points
from monitoring.timing.wall import Move, ran_until

AXES: Mapping[str, str] = {
    "step": "Step",
    "time": "Hours",
    "tokens": "Tokens",
    "gpu-hours": "GPU-hours",
    "cost": "Cost",
}
HOUR = 3600.0


@dataclass(frozen=True)
class Axis:
    """``columns`` have the place of each step, by the job's id. Of a job that has no place on it,
    ``why_not`` says why. Without columns the steps are the places."""

    columns: Mapping[int, Column] | None
    why_not: Mapping[int, str]

    def places(self, job: Job, steps: Steps) -> Values:
        """A step between two known ones has the place of the one before."""
        if self.columns is None:
            return steps.astype(np.float64)
        column = self.columns[job.pk]
        at = np.searchsorted(column.steps, steps, side="right") - 1
        found: Values = np.where(at >= 0, column.values[np.maximum(at, 0)], np.nan)
        return found


def axis_of(name: str, jobs: Sequence[Job]) -> Axis:
    if name == "tokens":
        return _tokens(jobs)
    if name == "step":
        return Axis(None, {})
    clocks = {pk: clock for pk, clock in points.clocks(jobs).items() if len(clock)}
    why_not = {job.pk: "Its times are not known." for job in jobs if job.pk not in clocks}
    rates = {"gpu-hours": _gpus, "cost": _per_hour}
    if name not in rates:
        return Axis({pk: _hours(clock) for pk, clock in clocks.items()}, why_not)
    rate, unknown = rates[name](jobs)
    hours = _hours_run(jobs, clocks)
    columns = {pk: Column(hours[pk].steps, hours[pk].values * each)
               for pk, each in rate.items() if pk in hours}  # fmt: skip
    return Axis(columns, {**why_not, **unknown})


def _hours(clock: Column) -> Column:
    """Since the first step."""
    return Column(clock.steps, (clock.values - clock.values[0]) / HOUR)


def _hours_run(jobs: Sequence[Job], clocks: Mapping[int, Column]) -> dict[int, Column]:
    """The hours that each had run by its steps. Where its moves were not recorded: since the first
    step."""
    moves: dict[int, list[Move]] = {}
    for event in Event.objects.moves().filter(job__in=[job.pk for job in jobs]):
        moves.setdefault(event.job_id, []).append(move_of(event))
    return {
        pk: Column(clock.steps, ran_until(moves[pk], clock.values) / HOUR)
        if pk in moves else _hours(clock)
        for pk, clock in clocks.items()
    }  # fmt: skip


def _tokens(jobs: Sequence[Job]) -> Axis:
    """All the tokens up to a step."""
    found: dict[int, Column] = {}
    for name in reversed(TOKENS):
        for pk, window in points.across(jobs, name).items():
            column = window.column
            known = np.where(np.isfinite(column.values), column.values, 0.0)
            found[pk] = Column(column.steps, np.cumsum(known))
    missing = {job.pk: "It logs no tokens." for job in jobs if job.pk not in found}
    return Axis(found, missing)


Rates = tuple[dict[int, float], dict[int, str]]


def _gpus(jobs: Sequence[Job]) -> Rates:
    return (
        {job.pk: float(job.gpus) for job in jobs if job.gpus},
        {job.pk: "It takes no GPU." for job in jobs if not job.gpus},
    )


def _per_hour(jobs: Sequence[Job]) -> Rates:
    """What an hour of a job costs, by the price table as it is now."""
    rate, unknown = _gpus(jobs)
    lookups = Lookups()
    for job in jobs:
        if job.pk not in rate:
            continue
        try:
            price = lookups.price(job.machine)
        except NotKnown as error:
            unknown[job.pk] = str(error)
            continue
        if price is None:
            unknown[job.pk] = f"Nobody wrote down what {job.machine} costs."
        else:
            rate[job.pk] *= price
    return {pk: each for pk, each in rate.items() if pk not in unknown}, unknown
