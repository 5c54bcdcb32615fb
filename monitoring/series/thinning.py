"""As many points as a chart has pixels for, without losing what one would see."""

import numpy as np

from monitoring.series.column import Column, Steps, Values

A_PIXEL = 3  # points that one pixel may keep: the least, the greatest, one that is not finite


def thinned(column: Column, width: int) -> Column:
    """The points of a chart that is ``width`` pixels wide.

    The range of steps is cut into ``width`` equal parts. Of each part the least and the greatest
    finite value stay, and the first that is not finite; the first and the last point of all stay
    too. A column with no more than two points a pixel stays as it is.
    """
    if width < 1 or len(column) <= 2 * width:
        return column
    pixel = _pixels(column.steps, width)
    begins = np.flatnonzero(np.append(True, pixel[1:] != pixel[:-1]))
    kept = np.zeros(len(column), dtype=bool)
    kept[0] = kept[-1] = True
    finite = np.isfinite(column.values)
    for stand_in, fold in ((np.inf, np.minimum), (-np.inf, np.maximum)):
        shown = column.values if finite.all() else np.where(finite, column.values, stand_in)
        _keep_first(
            kept, shown == _spread(fold.reduceat(shown, begins), begins, len(shown)), begins
        )
    _keep_first(kept, ~finite, begins)
    return Column(column.steps[kept], column.values[kept])


def middles(column: Column, width: int) -> Values:
    """The mean of the finite values in each of ``width`` equal parts of the steps; NaN in a part
    that has none."""
    pixel, finite = _pixels(column.steps, width), np.isfinite(column.values)
    counts = np.bincount(pixel[finite], minlength=width)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        sums = np.bincount(pixel[finite], weights=column.values[finite], minlength=width)
        means: Values = sums / counts
    return means


def _pixels(steps: Steps, width: int) -> Steps:
    """The pixel of each step, from 0 to ``width - 1``."""
    span = float(steps[-1]) - float(steps[0])
    placed: Steps = ((steps - steps[0]) * (width / span)).astype(np.int64)
    return np.minimum(placed, width - 1)


def _spread(of_parts: Values, begins: Steps, length: int) -> Values:
    """The value of each part at all positions of the part."""
    return np.repeat(of_parts, np.diff(np.append(begins, length)))


def _keep_first(kept: np.ndarray, wanted: np.ndarray, begins: Steps) -> None:
    """Keep the first wanted position of each part that has one."""
    places = np.flatnonzero(wanted)
    at = np.searchsorted(places, begins)
    ends = np.append(begins[1:], len(wanted))
    is_there = at < len(places)
    found = places[at[is_there]]
    kept[found[found < ends[is_there]]] = True
