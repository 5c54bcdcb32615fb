"""What a table shows of a series without reading its points."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from monitoring.series.column import Column, Values
from monitoring.series.frame import Frame, Key


@dataclass(slots=True)
class Summary:
    """``low`` and ``high`` are of the finite values alone, and None where there are none.

    ``last_value`` may be NaN or infinite.
    """

    last_step: int
    last_value: float
    low: float | None
    high: float | None
    count: int

    def then(self, later: "Summary") -> "Summary":
        """The summary of these points and later ones."""
        return Summary(
            later.last_step,
            later.last_value,
            least(self.low, later.low),
            greatest(self.high, later.high),
            self.count + later.count,
        )


def least(one: float | None, other: float | None) -> float | None:
    """The smaller of the two that are there."""
    return other if one is None else one if other is None else min(one, other)


def greatest(one: float | None, other: float | None) -> float | None:
    """The larger of the two that are there."""
    return other if one is None else one if other is None else max(one, other)


def summary_of(column: Column) -> Summary:
    """The summary of a column that has points."""
    [(low, high)] = _bounds(column.values[:, None])
    return Summary(column.last_step, float(column.values[-1]), low, high, len(column))


def summaries(frames: Iterable[Frame[Key]]) -> dict[Key, Summary]:
    """The summary of each series in frames in which no series has a step twice."""
    found: dict[Key, Summary] = {}
    for frame in frames:
        last, count = int(frame.steps[-1]), len(frame.steps)
        rows = zip(frame.keys, frame.values[-1].tolist(), _bounds(frame.values), strict=True)
        for key, value, (low, high) in rows:
            here, before = Summary(last, value, low, high, count), found.get(key)
            found[key] = here if before is None else _together(before, here)
    return found


def _together(one: Summary, other: Summary) -> Summary:
    return one.then(other) if one.last_step < other.last_step else other.then(one)


def _bounds(values: Values) -> Iterable[tuple[float | None, float | None]]:
    """The least and greatest finite value of each column."""
    finite = np.isfinite(values)
    if bool(finite.all()):
        return zip(values.min(axis=0).tolist(), values.max(axis=0).tolist(), strict=True)
    low = np.where(finite, values, math.inf).min(axis=0)
    high = np.where(finite, values, -math.inf).max(axis=0)
    empty = low > high
    return [
        (None, None) if is_empty else (a, b)
        for is_empty, a, b in zip(empty.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
