"""Measure how long steps take, and notice one that takes too long."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median, quantiles

KEPT = 30  # steps that are kept
ENOUGH = 5  # durations that a useful median needs
STALLED = 3.0  # times the median
LEAST = 30.0  # seconds; a shorter delay is noise of a busy machine
Seen = Sequence[Sequence[float]]


def remember(seen: Seen, step: int, at: float) -> list[list[float]]:
    """``[[step, epoch seconds], …]`` with one more entry and without the oldest.

    A step that is not after the last one starts a new list, since the run went back.
    """
    kept = [list(pair) for pair in seen]
    if kept and step <= kept[-1][0]:
        kept = []
    return [*kept, [step, at]][-KEPT:]


def step_time(seen: Seen) -> float | None:
    """Median seconds per step, or None while too few are known."""
    durations = _durations(seen)
    return median(durations) if len(durations) >= ENOUGH else None


def band(seen: Seen) -> tuple[float, float] | None:
    """Seconds a step between which eight of ten steps lie, or None while too few are known."""
    durations = sorted(_durations(seen))
    if len(durations) < ENOUGH:
        return None
    low, *_, high = quantiles(durations, n=10, method="inclusive")
    return low, high


def is_stalled(seen: Seen, now: float) -> bool:
    """Whether the current step takes three times as long as the median, and over 30 s."""
    usual = step_time(seen)
    return usual is not None and now - seen[-1][1] > max(LEAST, STALLED * usual)


def _durations(seen: Seen) -> list[float]:
    pairs = pairwise(seen)
    return [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairs]
