"""The moving average of a chart, over all points of a series."""

import numpy as np

from monitoring.series.column import Values

BLOCK = 256  # values that are averaged in one go


def smoothed(values: Values, weight: float) -> Values:
    """The exponential moving average, corrected for its start at nothing; values are finite.

    Each value weighs ``weight`` times as much as the one after it. The same as ``smooth`` of
    static/js/series.js.
    """
    if not 0 < weight < 1 or not len(values):
        return values
    count = len(values)
    size = min(BLOCK, count)
    rows = np.zeros((-(-count // size), size))
    rows.flat[:count] = values
    place = np.arange(size)
    # How much each value of a block counts at each place of the block.
    within = np.tril(weight ** np.maximum(place[:, None] - place[None, :], 0)) * (1 - weight)
    averages = rows @ within.T
    decay = weight ** (place + 1)
    for row in range(1, len(averages)):
        averages[row] += decay * averages[row - 1, -1]
    total = 1 - weight ** np.arange(1, count + 1)
    found: Values = averages.flat[:count] / total
    return found
