"""Why a setting is what it is: what another value of it, alone, would do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from compute.sizing.plan.search import Choice, judged
from compute.sizing.plan.settings import Setting, Value, settings_of

Verdict = Literal["does not fit", "slower", "larger peak", "no difference", "faster"]
LITTLE = 0.01  # a share of time or memory that decides nothing


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


def reasons(choice: Choice) -> Iterator[Reason]:
    """For each setting the nearest value that was not taken, or the one that fits best."""
    for setting in settings_of(choice.question):
        others = list(_others(choice, setting))
        if others:
            yield min(others, key=_tells)


def _others(choice: Choice, setting: Setting) -> Iterator[Reason]:
    value = setting.read(choice.question)
    for other in setting.values(choice.question):
        if other != value:
            there = judged(setting.put(choice.question, other), choice.terms)
            verdict = _verdict(choice, there)
            high = there.memory.band[1]
            yield Reason(setting.name, setting.label, value, other, verdict, high, there.seconds)


def _tells(reason: Reason) -> tuple[bool, float]:
    """The value that comes closest to being taken says most: it is the one to weigh."""
    misses = reason.verdict == "does not fit"
    return (misses, reason.peak if misses else reason.seconds)


def _verdict(choice: Choice, there: Choice) -> Verdict:
    if not there.fits:
        return "does not fit"
    longer = there.seconds / choice.seconds - 1
    if longer > LITTLE:
        return "slower"
    if there.memory.band[1] > choice.memory.band[1] * (1 + LITTLE):
        return "larger peak"
    return "faster" if longer < -LITTLE else "no difference"
