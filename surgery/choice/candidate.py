"""Checkpoints as those that choose see them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A checkpoint: the key of its row, what it is called, and its metrics at its step, by name."""

    key: int
    name: str
    step: int
    metrics: Mapping[str, float]

    def known(self, metric: str) -> float | None:
        """The value of a metric; None where it is missing, or no finite number."""
        found = self.metrics.get(metric)
        return found if found is not None and math.isfinite(found) else None


@dataclass(frozen=True)
class Ranked:
    """A candidate with its value, and how far that is from the chosen one's: never negative."""

    candidate: Candidate
    value: float
    distance: float


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why. ``chosen`` is None where no value is known.

    ``runners_up`` come best first, then ``others``, which are worse than one of these in all that
    counts. ``unknown`` cannot win; each with a sentence that says why.
    """

    chosen: Candidate | None
    value: float | None
    reason: str
    runners_up: Sequence[Ranked] = ()
    unknown: Sequence[tuple[Candidate, str]] = ()
    others: Sequence[Candidate] = ()

    @property
    def ranking(self) -> list[Candidate]:
        """Those whose values are known, best first."""
        first = [self.chosen] if self.chosen else []
        return [*first, *(each.candidate for each in self.runners_up), *self.others]


def names_in(candidates: Iterable[Candidate]) -> list[str]:
    """The metrics that any of them has, by name."""
    return sorted({name for each in candidates for name in each.metrics})
