"""How long steps take, and when one takes so long that something is wrong."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

KEPT = 30  # steps that are remembered
ENOUGH = 5  # durations that a median is worth something with
STALLED = 3.0  # times the median
LEAST = 30.0  # seconds: below that, noise of a busy machine
Seen = Sequence[Sequence[float]]


def remember(seen: Seen, step: int, at: float) -> list[list[float]]:
    """``[[step, epoch seconds], …]`` with one more, the oldest forgotten.

    A step that is not later than the last one begins anew: a run that went back.
    """
    kept = [list(pair) for pair in seen]
    if kept and step <= kept[-1][0]:
        kept = []
    return [*kept, [step, at]][-KEPT:]


def step_time(seen: Seen) -> float | None:
    """Median seconds a step, or None while too few are known."""
    pairs = pairwise(seen)
    durations = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairs]
    return median(durations) if len(durations) >= ENOUGH else None


def is_stalled(seen: Seen, now: float) -> bool:
    """Whether the step that is going on takes three times as long as steps do."""
    usual = step_time(seen)
    return usual is not None and now - seen[-1][1] > max(LEAST, STALLED * usual)
