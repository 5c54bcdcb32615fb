"""How long a chain should take and what it should cost, before it starts.

A training on GPUs is estimated from its model and machine. All else is taken to last as long as the
last job of its kind that completed there; where there was none, nothing is guessed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compute.models import Machine
from evaluations.chains.checking import Checked
from evaluations.steps.step import (
    ADAPTER,
    AVERAGE,
    CONVERT,
    EVALUATE,
    LORA,
    MERGE,
    TRAIN,
    Recipe,
    Step,
)
from jobs.fit.badge import fit_of, runs_on_gpus
from jobs.fit.lookups import Lookups
from jobs.models import Job, Status
from jobs.order.forms import JobForm
from surgery.recipes.sweep import read_range

HOUR = 3600
KINDS: Mapping[str, str] = {
    AVERAGE: "average", MERGE: "merge", CONVERT: "convert", EVALUATE: "evaluate",
    ADAPTER: "export", LORA: "lora_merge",
}  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """Of all ``jobs`` of a step: seconds from low to high, and their cost. None is not known;
    ``source`` says where they come from, or why there are none."""

    step: Step
    jobs: int
    low: float | None = None
    high: float | None = None
    cost: tuple[float, float] | None = None
    source: str = ""


@dataclass(frozen=True)
class Total:
    """``unknown`` names the steps of which nothing is known; the rest is summed up."""

    low: float
    high: float
    cost: tuple[float, float] | None
    unknown: Sequence[str]


def expected(checked: Checked) -> list[Expected]:
    """Of each step with jobs."""
    counts, lookups = counts_of(checked.recipe), Lookups()
    found = []
    for step in checked.recipe.steps:
        if step.has_jobs:
            form = checked.forms.get(step.name)
            found.append(_of(step, counts[step.name], form, checked.machine, lookups))
    return found


def total(rows: Sequence[Expected]) -> Total:
    known = [row for row in rows if row.low is not None and row.high is not None]
    costs = [row.cost for row in rows if row.cost is not None]
    return Total(
        low=sum(row.low or 0 for row in known),
        high=sum(row.high or 0 for row in known),
        cost=(sum(low for low, _ in costs), sum(high for _, high in costs)) if costs else None,
        unknown=[row.step.name for row in rows if row.low is None],
    )


def counts_of(recipe: Recipe) -> dict[str, int]:
    """How many parts each step will have, as far as its recipe says."""
    counts = dict[str, int]()
    for step in recipe.steps:
        models = sum(counts.get(source.step, 1) for source in step.models)
        values = math.prod(len(each) for each in step.over.values())
        if step.wish is not None:
            keep = step.wish.keep
            counts[step.name] = keep if step.wish.checkpoints else min(models, keep)
        elif step.verb == LORA:
            counts[step.name] = values
        elif step.verb == MERGE:
            counts[step.name] = len(read_range(step.sweep).values) if step.sweep else 1
        else:
            counts[step.name] = max(1, models) * values
    return counts


def _of(
    step: Step, jobs: int, form: JobForm | None, machine: Machine, lookups: Lookups
) -> Expected:
    if step.verb != TRAIN:
        return _as_before(step, jobs, {"kind": KINDS[step.verb]}, machine)
    if form is None:
        return Expected(step, jobs, source="Its settings are not valid yet.")
    order = form.order()
    if not runs_on_gpus(order.spec):
        return _as_before(step, jobs, {"recipe": order.recipe, "steps": order.steps}, order.machine)
    fit = fit_of(order.spec, order.machine, lookups)
    time = fit.ledger.estimate.time if fit.ledger else None
    if fit.ledger is None or time is None or not order.steps:
        return Expected(step, jobs, source=fit.why or "How many steps it does is not known.")
    low, high = (share * time.seconds * order.steps * jobs for share in time.band)
    hourly = fit.ledger.price and fit.ledger.price * fit.ledger.gpus
    cost = (hourly * low / HOUR, hourly * high / HOUR) if hourly else None
    return Expected(step, jobs, low, high, cost, f"An estimate. {fit.ledger.estimate.told}".strip())


def _as_before(step: Step, jobs: int, like: Mapping[str, object], machine: Machine) -> Expected:
    done = Job.objects.filter(status=Status.COMPLETED, machine=machine, attempt=1, **like)
    last = done.exclude(ended_at=None).exclude(started_at=None).order_by("-ended_at").first()
    seconds = last.elapsed.total_seconds() if last and last.elapsed else None
    if last is None or seconds is None:
        return Expected(step, jobs, source=f"No such job has completed on {machine} yet.")
    said = f"As long as job {last.pk}, the last one of its kind there."
    return Expected(step, jobs, seconds * jobs, seconds * jobs, None, said)
