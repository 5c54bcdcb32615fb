"""Which advantage of an answer is shown, and whether it agrees with what verl logged."""

from dataclasses import dataclass

import numpy as np

from monitoring.answers.advantage import Method, advantages, has_trained, mean_of, rounding
from monitoring.answers.step import Floats, Step

AGREES = 1e-4  # verl counts in 32 bits


@dataclass(frozen=True)
class Check:
    """How the advantages of a step came about, and what speaks for them.

    ``mean`` is weighted by tokens as verl's is, where the file counts them (``by_tokens``).
    ``worst`` is the largest difference of an answer from what the node wrote down of verl's, but
    for those that rounding explains in a group without deviation: the largest of these is
    ``rounded``.
    """

    estimator: str
    is_recomputed: bool
    is_recorded: bool
    why: str  # they could not be computed again
    mean: float | None
    logged: float | None
    by_tokens: bool
    worst: float | None
    rounded: float = 0.0
    mean_rounded: float = 0.0  # how far rounding may move the mean

    @property
    def differs_by(self) -> float | None:
        if self.mean is None or self.logged is None:
            return None
        return abs(self.mean - self.logged)

    @property
    def agrees(self) -> bool:
        return self.differs_by is not None and self.differs_by <= AGREES + self.mean_rounded

    @property
    def each_agrees(self) -> bool:
        return self.worst is not None and self.worst <= 10 * AGREES

    @property
    def is_rounded(self) -> bool:
        """Whether rounding shows in a group without deviation."""
        return self.rounded > 10 * AGREES


def advantage_of(step: Step, method: Method) -> tuple[Floats, str]:
    """Computed again or, where that cannot be, as the node wrote it down; and why there is none."""
    found = advantages(step, method)
    if found.values is not None:
        return found.values, ""
    return step.advantage, "" if _is_recorded(step) else found.why


def check_of(step: Step, method: Method, logged: float | None) -> Check:
    """``logged`` is verl's mean of the step."""
    again = advantages(step, method)
    values = step.advantage if again.values is None else again.values
    left = rounding(step, method)
    worst, rounded = None, 0.0
    if again.values is not None and _is_recorded(step):
        apart = np.abs(again.values - step.advantage)
        explained = (left > 0) & (apart <= left)
        rounded = float(apart[explained].max(initial=0.0))
        rest = np.where(explained, 0.0, apart)
        worst = float(np.nanmax(rest)) if not np.isnan(rest).all() else None
    return Check(
        estimator=method.estimator,
        is_recomputed=again.values is not None,
        is_recorded=_is_recorded(step),
        why=again.why,
        mean=mean_of(values, step),
        logged=logged,
        by_tokens=has_trained(step),
        worst=worst,
        rounded=rounded,
        mean_rounded=mean_of(left, step) or 0.0,
    )


def _is_recorded(step: Step) -> bool:
    return not bool(np.isnan(step.advantage).all())
