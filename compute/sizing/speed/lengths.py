"""How long answers are, from their mean and the longest that is allowed.

The lengths are taken to fall off exponentially and to be cut at the longest: of all distributions
on positive numbers with a given mean, the exponential assumes least (it has the greatest entropy).
``P(length > t) = exp(-rate t)`` for ``t < longest``, and a share of ``exp(-rate longest)`` is cut.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, expm1, log

NEARLY = 0.98  # a mean so near the longest says that all are as long
STEPS = 60  # halvings: more than a double's digits


@dataclass(frozen=True)
class Spread:
    """``rate`` is 0 where every length is ``mean``."""

    mean: float
    longest: float
    rate: float

    def alive(self, at: float) -> float:
        """The share of answers that are longer than ``at`` tokens."""
        if at >= self.longest:
            return 0.0
        return exp(-self.rate * at)

    @property
    def square(self) -> float:
        """The mean of the squared length."""
        if not self.rate:
            return self.mean**2
        cut = self.rate * self.longest
        return 2 / self.rate**2 * (1 - exp(-cut) * (1 + cut))

    def end(self, count: float) -> float:
        """About how long the longest of ``count`` answers is."""
        if not self.rate or count <= 1:
            return self.mean
        return min(self.longest, (log(count) + 0.5772) / self.rate)


@lru_cache(maxsize=4096)
def spread(mean: float, longest: float) -> Spread:
    """The distribution with this mean; one length for all where the mean is near the longest."""
    if longest <= 0 or mean >= NEARLY * longest:
        return Spread(mean, max(mean, longest), 0.0)
    low, high = 1e-12, 1e3 / mean if mean > 0 else 1e6
    for _ in range(STEPS):
        middle = (low + high) / 2
        if -expm1(-middle * longest) / middle > mean:
            low = middle
        else:
            high = middle
    return Spread(mean, longest, (low + high) / 2)
