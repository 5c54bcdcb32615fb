"""How much better one model is than another, by their evaluations on the same prompts."""

from dataclasses import dataclass

from evaluations.steps.step import Limit
from jobs.models import Job


class NotComparable(Exception):
    """Two evaluations cannot be compared. The message is a sentence."""


@dataclass(frozen=True)
class Difference:
    """``mean`` is positive where the first is better; the interval holds the truth in 95 %."""

    mean: float
    low: float
    high: float
    words: str

    def holds(self, limit: Limit) -> bool:
        """Whether it is as good as a gate asks.

        Better means that this shows. Not worse means that nothing worse shows; with a margin, that
        it is for sure not worse by more than that.
        """
        if limit.better_than:
            return self.low > 0
        return self.low >= -limit.margin if limit.margin else self.high >= 0

    def lacks(self, limit: Limit) -> str:
        """Why a gate does not let it through."""
        if limit.better_than:
            return f"that it is better than {limit.better_than} does not show"
        if limit.margin:
            return f"it may be worse than {limit.not_worse_than} by more than {limit.margin:g}"
        return f"it is worse than {limit.not_worse_than}"


def difference(own: Job, other: Job, metric: str) -> Difference:
    """Raises ``NotComparable``."""
    raise NotComparable("not yet")
