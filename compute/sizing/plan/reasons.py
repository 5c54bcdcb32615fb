"""Why a setting is what it is: what another value of it, alone, would do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from compute.sizing.plan.search import Choice, judged
from compute.sizing.plan.settings import Setting, Value, settings_of
from compute.sizing.question import Question

Verdict = Literal["does not fit", "slower", "larger peak", "no difference", "faster"]
LITTLE = 0.01  # a share of time or memory that decides nothing
TOKENS = ("max_tokens_per_gpu", "log_prob_tokens")  # settings that count them


@dataclass(frozen=True)
class Reason:
    """``other`` in place of ``value``, all else left, makes the peak and the time these. Bytes on
    a GPU (the upper end of the band), and seconds a step."""

    setting: str
    label: str
    value: Value
    other: Value
    verdict: Verdict
    peak: int
    seconds: float


def reasons(choice: Choice, start: Question) -> Iterator[Reason]:
    """For each setting that differs from ``start``, the job as it is, the value there; for the
    others the nearest value that was not taken, or the one that fits best."""
    for setting in settings_of(choice.question):
        now = setting.read(start)
        others = {reason.other: reason for reason in _others(choice, setting, now)}
        if others:
            yield others.get(now) or min(others.values(), key=_tells)


def can_have(setting: Setting, question: Question, now: Value) -> bool:
    """Whether a question may have the value that the job has now. A number of tokens lies between
    those that a plan tries; any other value is one of them."""
    values = list(setting.values(question))
    return now in values or (setting.name in TOKENS and min(values) <= now <= max(values))


def _others(choice: Choice, setting: Setting, now: Value) -> Iterator[Reason]:
    value = setting.read(choice.question)
    others = list(setting.values(choice.question))
    if now not in others and can_have(setting, choice.question, now):
        others.append(now)
    for other in others:
        if other != value:
            there = judged(setting.put(choice.question, other), choice.terms)
            found, high = verdict(choice, there), there.memory.band[1]
            yield Reason(setting.name, setting.label, value, other, found, high, there.seconds)


def _tells(reason: Reason) -> tuple[bool, float]:
    """The value that comes closest to being taken says most: it is the one to weigh."""
    misses = reason.verdict == "does not fit"
    return (misses, reason.peak if misses else reason.seconds)


def verdict(choice: Choice, there: Choice) -> Verdict:
    """What ``there`` is against the choice."""
    if not there.fits:
        return "does not fit"
    longer = there.seconds / choice.seconds - 1
    if longer > LITTLE:
        return "slower"
    if there.memory.band[1] > choice.memory.band[1] * (1 + LITTLE):
        return "larger peak"
    return "faster" if longer < -LITTLE else "no difference"
