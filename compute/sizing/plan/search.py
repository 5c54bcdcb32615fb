"""The settings that fit and serve a goal best, among all that verl has for a job.

A beam: each setting in turn takes all its values for the most promising questions so far, twice
over, once for speed and once for a small peak. ``tests/compute/sizing/plan`` compares it with the
whole product of all values.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Literal, TypeVar

from compute.sizing.answer import Memory, Time
from compute.sizing.estimate import fits
from compute.sizing.learning import corrected_memory, corrected_time
from compute.sizing.memory.ledger import memory_of
from compute.sizing.plan.settings import Setting, Value, chosen, laid_out, settings_of
from compute.sizing.plan.sides import (
    NOTHING_MORE,
    Pairing,
    Sampling,
    Terms,
    Training,
    paired,
    sampling_of,
    training_of,
)
from compute.sizing.question import Question
from compute.sizing.speed.times import time_of

Goal = Literal["fastest", "cheapest", "safest"]
GOALS: tuple[Goal, ...] = ("fastest", "cheapest", "safest")

WIDTH = 40  # questions that each round goes on with
ROUNDS = 2
SLOWER = 1.5  # the safest plan takes at most so many times as long as the fastest


@dataclass(frozen=True)
class Choice:
    """A question with its memory and time."""

    question: Question
    memory: Memory
    time: Time
    terms: Terms = NOTHING_MORE

    @property
    def price(self) -> float | None:
        return self.terms.price

    @cached_property
    def fits(self) -> bool:
        """Even at the upper end of the band."""
        return fits(self.question, self.memory) is True

    @cached_property
    def seconds(self) -> float:
        return self.time.seconds

    @property
    def cost(self) -> float:
        return self.terms.cost(self.question.cards, self.seconds)

    @cached_property
    def settings(self) -> Mapping[str, Value]:
        return chosen(self.question)


@dataclass(frozen=True)
class Found:
    """``best`` serves the goal best, None where nothing fits; ``others`` are up to two that are
    better in another way; ``least`` has the smallest peak of all; ``tried`` counts settings."""

    goal: Goal
    best: Choice | None
    others: tuple[Choice, ...]
    least: Choice
    tried: int


def search(questions: Iterable[Question], goal: Goal, terms: Terms = NOTHING_MORE) -> Found:
    """The best settings for any of the questions, such as one job on 4, 8 and 16 GPUs."""
    looked = [one for question in questions for one in _Beam(question, terms).pairings()]
    fitting = [one for one in looked if one.fits]
    best = _serving(goal, fitting) if fitting else None
    others = _others(best, fitting) if best else ()
    return Found(
        goal=goal,
        best=judged(best.question, terms) if best else None,
        others=tuple(judged(one.question, terms) for one in others),
        least=judged(min(looked, key=_by_peak).question, terms),
        tried=len(looked),
    )


def judged(question: Question, terms: Terms = NOTHING_MORE) -> Choice:
    """One question with its memory and time, as finished runs correct them."""
    memory, time = memory_of(question), time_of(question)
    if terms.correction:
        memory = corrected_memory(question, memory, terms.correction)
        time = corrected_time(time, terms.correction)
    return Choice(question, memory, time, terms)


Key = Callable[[Pairing], tuple[float, ...]]
Side = TypeVar("Side", Training, Sampling)


class _Beam:
    """The settings of one question that were looked at, each once.

    A side is told by its settings: all else is that of the start.
    """

    def __init__(self, start: Question, terms: Terms) -> None:
        self.start = laid_out(start)
        self.settings = settings_of(start)
        self.trainings = _Sides(
            [one for one in self.settings if not one.samples],
            lambda question: training_of(question, terms),
        )
        self.samplings = _Sides([one for one in self.settings if one.samples], sampling_of)
        self.seen: dict[tuple[int, int], Pairing] = {}
        self.terms = terms

    def pairings(self) -> Iterable[Pairing]:
        for key in (_by_speed, _by_peak):
            self._go(key)
        return self.seen.values()

    def _go(self, key: Key) -> None:
        kept = [self._look(self.trainings.of(self.start), self.samplings.of(self.start))]
        for setting in self.settings * ROUNDS:
            asked = {id(one): one for one in self._varied(kept, setting)}
            kept = sorted(asked.values(), key=key)[:WIDTH]

    def _varied(self, kept: list[Pairing], setting: Setting) -> Iterator[Pairing]:
        for one in kept:
            if setting.samples:
                for sampling in self.samplings.varied(one.sampling, setting):
                    yield self._look(one.training, sampling)
            else:
                for training in self.trainings.varied(one.training, setting):
                    yield self._look(training, one.sampling)

    def _look(self, training: Training, sampling: Sampling) -> Pairing:
        # Sides are kept as long as the beam is, so that no other can have the id of one.
        key = (id(training), id(sampling))
        if key not in self.seen:
            self.seen[key] = paired(training, sampling, self.terms)
        return self.seen[key]


class _Sides(Generic[Side]):
    """The sides that were worked out, by their settings."""

    def __init__(self, settings: list[Setting], make: Callable[[Question], Side]) -> None:
        self._settings = settings
        self._make: Callable[[Question], Side] = make
        self._made: dict[tuple[Value, ...], Side] = {}
        self._varied: dict[tuple[int, str], list[Side]] = {}

    def of(self, question: Question) -> Side:
        values = tuple([setting.read(question) for setting in self._settings])
        if values not in self._made:
            self._made[values] = self._make(question)
        return self._made[values]

    def varied(self, side: Side, setting: Setting) -> list[Side]:
        """One for each value of a setting."""
        key = (id(side), setting.name)
        if key not in self._varied:
            question, now = side.question, setting.read(side.question)
            self._varied[key] = [
                side if value == now else self.of(setting.put(question, value))
                for value in setting.values(question)
            ]
        return self._varied[key]


def _by_speed(one: Pairing) -> tuple[float, ...]:
    """Those that fit first, then those that miss by least: these may fit yet."""
    if one.fits:
        return 0.0, one.seconds, one.peak
    return 1.0, max(0, one.high - one.training.question.gpu.memory), one.peak


def _by_peak(one: Pairing) -> tuple[float, ...]:
    return one.high, one.seconds


def _serving(goal: Goal, fitting: list[Pairing]) -> Pairing:
    if goal == "fastest":
        return min(fitting, key=lambda one: (one.seconds, one.high))
    if goal == "cheapest":
        return min(fitting, key=lambda one: (one.cost, one.seconds))
    fastest = min(one.seconds for one in fitting)
    return min((one for one in fitting if one.seconds <= SLOWER * fastest), key=_by_peak)


def _others(best: Pairing, fitting: list[Pairing]) -> Iterator[Pairing]:
    """On the front of time, cost and peak: what the other goals would take, if it differs."""
    given = [best]
    for goal in GOALS:
        other = _serving(goal, fitting)
        if all(_differs(other, one) for one in given):
            given.append(other)
            yield other


def _differs(one: Pairing, other: Pairing) -> bool:
    """By 2 % or more in time, cost or peak: less than that nobody would choose by."""
    return any(
        abs(a - b) > 0.02 * max(abs(a), abs(b))
        for a, b in (
            (one.seconds, other.seconds),
            (one.cost, other.cost),
            (one.peak, other.peak),
        )
    )
