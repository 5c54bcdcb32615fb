"""The few figures of a run that its page shows first: score, throughput, time left, cost."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q

from jobs.fit.spent import cost_of
from jobs.models import Job
from jobs.verl.better import is_best_higher
from monitoring.models import Series
from monitoring.readers.pace import band
from surgery.choice.metrics import validation_of

# Tokens a second: as verl's RL trainers log them, and what SFT and DPO log instead.
THROUGHPUT, TOKENS, STEP = "perf/throughput", "train/global_tokens", "timing_s/step"
VALIDATION = Q(name__startswith="val-core/") | Q(name__startswith="val/")
MOST = 200  # metrics of validation that are looked at


@dataclass(frozen=True)
class Score:
    """The validation score: its last value and the best one."""

    name: str
    now: float | None
    step: int
    best: float | None


def glance(job: Job) -> dict[str, Any]:
    rows = Series.objects.filter(Q(name__in=(THROUGHPUT, TOKENS, STEP)) | VALIDATION, job=job)
    series = {each.name: each for each in rows[:MOST]}
    return {
        "score": _score(series),
        "throughput": _throughput(series, _ran_on_the_cpu(job)),
        "left": left_of(job),
        "cost": cost_of(job),
    }


def left_of(job: Job) -> tuple[timedelta, timedelta] | None:
    """The least and the most time that may be left, by how much its latest steps differ."""
    paces = band(job.recent_steps)
    if not job.is_active or paces is None or job.steps is None or job.time_left is None:
        return None
    rest = max(0, job.steps - job.step)
    low, high = (timedelta(seconds=pace * rest) for pace in paces)
    return min(low, job.time_left), max(high, job.time_left)


def _score(series: dict[str, Series]) -> Score | None:
    names = [name for name in series if name not in (THROUGHPUT, TOKENS, STEP)]
    means = [name for name in names if "/mean@" in name]
    name = validation_of(means or names)
    if name is None:
        return None
    found = series[name]
    best = found.high if is_best_higher(name) else found.low
    return Score(name, found.last_value, found.last_step, best)


def _ran_on_the_cpu(job: Job) -> bool:
    """Of a run that ran elsewhere nobody knows."""
    return not job.gpus and not job.job_kind.ran_elsewhere


def _throughput(series: dict[str, Series], on_the_cpu: bool) -> tuple[float, str] | None:
    """Tokens a second, and of what."""
    if (told := series.get(THROUGHPUT)) and told.last_value is not None:
        return told.last_value, "tok/s" if on_the_cpu else "tok/s a GPU"
    tokens, step = series.get(TOKENS), series.get(STEP)
    if tokens and step and tokens.last_value and step.last_value:
        return tokens.last_value / step.last_value, "tok/s"
    return None
