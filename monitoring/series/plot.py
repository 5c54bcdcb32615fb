"""A small plot as the lines of an SVG."""

import numpy as np

from monitoring.series.column import Column
from monitoring.series.thinning import thinned


def polylines(column: Column, width: int, height: int) -> list[str]:
    """The ``points`` of a polyline for each stretch of finite values, in a box of this size.

    The least finite value lies on the lower edge and the greatest on the upper one. A value that is
    not finite leaves a gap.
    """
    shown = thinned(column, width)
    finite = np.isfinite(shown.values)
    if not finite.any():
        return []
    x = _placed(shown.steps.astype(np.float64), width)
    y = height - _placed(np.where(finite, shown.values, shown.values[finite][0]), height)
    gaps = np.flatnonzero(np.diff(finite)) + 1
    stretches = np.split(np.arange(len(shown)), gaps)
    return [
        " ".join(f"{x[at]:.1f},{y[at]:.1f}" for at in part) for part in stretches if finite[part[0]]
    ]


def _placed(values: np.ndarray, size: int) -> np.ndarray:
    """The values from 0 to ``size``; in the middle when all are the same."""
    low, high = values.min(), values.max()
    if low == high:
        return np.full(len(values), size / 2)
    # Halved first: the distance of two large values may be more than a number can hold.
    placed: np.ndarray = (values / 2 - low / 2) / (high / 2 - low / 2) * size
    return placed
