"""Whether what an evaluation found is as good as a gate asks."""

from dataclasses import dataclass

from evaluations.gates.comparing import NotComparable, gain
from evaluations.steps.step import Limit
from jobs.models import Job


@dataclass(frozen=True)
class Judged:
    """``said`` is what was found; ``failure`` why that is not good enough, empty where it is."""

    said: str = ""
    failure: str = ""


def within(called: str, value: float, limit: Limit) -> Judged:
    """Whether a value lies within the bounds of a gate. ``called`` names it."""
    told = f"{called} is {value:.6g}"
    if limit.at_least is not None and value < limit.at_least:
        return Judged(failure=f"{told}, which is below {limit.at_least:g}.")
    if limit.at_most is not None and value > limit.at_most:
        return Judged(failure=f"{told}, which is above {limit.at_most:g}.")
    return Judged(f"{told}.")


def beside(own: Job, other: Job, limit: Limit) -> Judged:
    """Whether one evaluation's model holds against another's. Raises ``NotComparable``."""
    found = gain(own, other, limit.metric)
    if found.holds(limit):
        return Judged(found.words)
    return Judged(failure=f"{found.words} {found.lacks(limit)}")


__all__ = ["Judged", "NotComparable", "beside", "within"]
