"""The moving average of a chart, over all points of a series."""

from functools import lru_cache

import numpy as np

from monitoring.series.column import Values

BLOCK = 64  # values that are averaged in one go


def smoothed(values: Values, weight: float) -> Values:
    """The exponential moving average, corrected for its start at nothing; values are finite.

    Each value weighs ``weight`` times as much as the one after it. The same as ``smooth`` of
    static/js/series.js.
    """
    if not 0 < weight < 1 or not len(values):
        return values
    count = len(values)
    within, decay = _weights(weight)
    rows = np.zeros((-(-count // BLOCK), BLOCK))
    rows.flat[:count] = values
    averages = rows @ within
    for row in range(1, len(averages)):
        averages[row] += decay * averages[row - 1, -1]
    total = 1 - weight ** np.arange(1, count + 1)
    found: Values = averages.flat[:count] / total
    return found


@lru_cache(maxsize=8)
def _weights(weight: float) -> tuple[Values, Values]:
    """How much each value of a block counts at each place of it, and there the block before."""
    place = np.arange(BLOCK)
    gap = place[None, :] - place[:, None]
    within: Values = np.triu(weight ** np.maximum(gap, 0).astype(np.float64)) * (1 - weight)
    decay: Values = weight ** (place + 1).astype(np.float64)
    return within, decay
