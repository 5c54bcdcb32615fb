"""Where the time of a job went over all its attempts: training, and what took the rest."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from monitoring.series.column import EMPTY, Column, Values

QUEUE, START, START_UP = "queue", "start", "start-up"
TRAINING, VALIDATION, SAVES = "training", "validation", "checkpoints"
LOST, STOPPED, ENDING = "lost", "stopped", "ending"
WHAT = (TRAINING, VALIDATION, SAVES, START_UP, LOST, ENDING, START, QUEUE, STOPPED)
HELD = frozenset({TRAINING, VALIDATION, SAVES, START_UP, LOST, ENDING})  # while it had its machine
BEGUN = frozenset({"paused", "completed"})  # ends after which nothing is done again


@dataclass(frozen=True)
class Move:
    """A job came into a status, at epoch seconds."""

    status: str
    at: float
    attempt: int


@dataclass(frozen=True)
class Saved:
    """A checkpoint of a step, at epoch seconds."""

    step: int
    at: float


@dataclass(frozen=True)
class Told:
    """What is known of a job's steps: when each was written, and the seconds that it took, that
    validation took, and that saving took. ``resumed`` is the step each attempt went on from."""

    written: Column = EMPTY
    durations: Column = EMPTY
    validation: Column = EMPTY
    saves: Column = EMPTY
    checkpoints: Sequence[Saved] = ()
    resumed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Wall:
    """Seconds by what took them, from when the job was queued to its end or to now."""

    seconds: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def held(self) -> float:
        """The seconds in which it had its machine."""
        return sum(value for what, value in self.seconds.items() if what in HELD)

    @property
    def ratio(self) -> float | None:
        """The share of the wall time in which it trained and what it did counts."""
        return self.seconds.get(TRAINING, 0.0) / self.total if self.total > 0 else None

    @property
    def held_ratio(self) -> float | None:
        """The same share of the time in which it had its machine."""
        return self.seconds.get(TRAINING, 0.0) / self.held if self.held > 0 else None


@dataclass(frozen=True)
class Stay:
    """The time in one status; ``then`` is the next status, empty where there is none yet."""

    status: str
    attempt: int
    begin: float
    end: float
    then: str


def wall(moves: Sequence[Move], told: Told, now: float) -> Wall:
    """Where the time went. ``moves`` are those of the job in their order."""
    seconds: dict[str, float] = {}
    for stay in _stays(moves, now):
        for what, took in _spent(stay, told):
            if took > 0:
                seconds[what] = seconds.get(what, 0.0) + took
    return Wall({what: seconds[what] for what in WHAT if what in seconds})


def ran_until(moves: Sequence[Move], at: Values) -> Values:
    """For each of the epoch seconds ``at`` the seconds that the job had run by then, over all its
    attempts: the time between them does not count."""
    found = np.zeros_like(at)
    for stay in _stays(moves, float(at.max(initial=0.0))):
        if stay.status == "running":
            found += np.clip(at - stay.begin, 0.0, stay.end - stay.begin)
    return found


def _stays(moves: Sequence[Move], now: float) -> Iterator[Stay]:
    for here, after in pairwise(moves):
        yield Stay(here.status, here.attempt, here.at, after.at, after.status)
    if moves and moves[-1].status in ("queued", "starting", "running", "paused"):
        last = moves[-1]
        yield Stay(last.status, last.attempt, last.at, max(now, last.at), "")


def _spent(stay: Stay, told: Told) -> Iterable[tuple[str, float]]:
    took = stay.end - stay.begin
    if stay.status == "running":
        return _of_run(stay, told)
    what = {"queued": QUEUE, "starting": START}.get(stay.status, STOPPED)
    return [(what, took)]


def _of_run(stay: Stay, told: Told) -> Iterator[tuple[str, float]]:
    """The parts of one attempt's run. What a later attempt did again is lost."""
    kept_until = _kept_until(stay, told)
    yield LOST, stay.end - kept_until
    steps = _between(told.written, stay.begin, kept_until)
    if not len(steps):
        yield START_UP, kept_until - stay.begin
        return
    first, last = float(steps.values[0]), float(steps.values[-1])
    began = max(stay.begin, first - _sum_at(told.durations, steps[:1]))
    ended = kept_until if stay.then == "" else min(last, kept_until)
    validation, saves = _sum_at(told.validation, steps), _sum_at(told.saves, steps)
    yield START_UP, began - stay.begin
    yield VALIDATION, validation
    yield SAVES, saves
    yield TRAINING, ended - began - validation - saves
    yield ENDING, kept_until - ended


def _kept_until(stay: Stay, told: Told) -> float:
    """The moment up to which the next attempt took over what this one did."""
    step = told.resumed.get(stay.attempt + 1)
    if step is None or stay.then in BEGUN or stay.then == "":
        return stay.end
    saved = [each.at for each in told.checkpoints if each.step == step and each.at <= stay.end]
    return max(stay.begin, *saved) if saved else stay.begin


def _between(written: Column, begin: float, end: float) -> Column:
    inside = (written.values > begin) & (written.values <= end)
    return Column(written.steps[inside], written.values[inside])


def _sum_at(column: Column, steps: Column) -> float:
    """The seconds of a column at some steps."""
    at = column.values[np.isin(column.steps, steps.steps)]
    return float(at[np.isfinite(at) & (at > 0)].sum())
