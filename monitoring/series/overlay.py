"""Many runs on one axis: lines that share their places, as many as there are pixels for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.series.column import Values, rows_kept


@dataclass(frozen=True)
class Line:
    """Finite values at ascending places of an axis."""

    places: Values
    values: Values

    def __len__(self) -> int:
        return len(self.places)

    def within(self, low: float | None, high: float | None) -> "Line":
        """Also the points next to the bounds, so that the line goes on to the edges."""
        begin = 0 if low is None else int(np.searchsorted(self.places, low)) - 1
        end = len(self) if high is None else int(np.searchsorted(self.places, high, "right")) + 1
        part = slice(max(0, begin), max(0, end))
        return Line(self.places[part], self.values[part])


def line_of(places: Values, values: Values) -> Line:
    """A line of the points whose place and value are finite; of a place twice, the last one."""
    known = np.isfinite(places) & np.isfinite(values)
    if not known.all():
        places, values = places[known], values[known]
    kept = rows_kept(places)
    return Line(places, values) if kept is None else Line(places[kept], values[kept])


@dataclass(frozen=True)
class Overlay:
    """``rows[i][k]`` is line ``i`` at ``places[k]``, NaN where it has no point."""

    places: Values
    rows: list[Values]
    is_thinned: bool


def overlaid(lines: Sequence[Line], width: int) -> Overlay:
    """The lines of a chart that is ``width`` pixels wide.

    Where they have more places than twice the pixels, the axis is cut into ``width`` parts, and of
    each line's part the least and the greatest value stay, in their order.
    """
    # To sort all places takes long: where one line has too many, all have.
    if any(len(line) > 2 * width for line in lines):
        return _thinned(lines, width)
    places = _union(lines)
    if len(places) > 2 * width:
        return _thinned(lines, width)
    rows = []
    for line in lines:
        row = np.full(len(places), np.nan)
        row[np.searchsorted(places, line.places)] = line.values
        rows.append(row)
    return Overlay(places, rows, False)


def _union(lines: Sequence[Line]) -> Values:
    filled = [line.places for line in lines if len(line)]
    union: Values = np.unique(np.concatenate(filled)) if filled else np.empty(0)
    return union


def _bounds(lines: Sequence[Line]) -> tuple[float, float]:
    filled = [line.places for line in lines if len(line)]
    return min(float(each[0]) for each in filled), max(float(each[-1]) for each in filled)


def _thinned(lines: Sequence[Line], width: int) -> Overlay:
    low, high = _bounds(lines)
    size = (high - low) / width
    grid = low + size * (np.arange(2 * width) / 2 + 0.25)
    return Overlay(grid, [_extremes(line, low, size, width) for line in lines], True)


def _extremes(line: Line, low: float, size: float, width: int) -> Values:
    """Two values a part: the least and the greatest, the earlier one first."""
    row = np.full(2 * width, np.nan)
    if not len(line):
        return row
    part, begins = _parts(line, low, size, width)
    least, greatest = (fold.reduceat(line.values, begins) for fold in (np.minimum, np.maximum))
    ends = np.append(begins[1:], len(line)) - 1
    rises = line.values[begins] <= line.values[ends]
    at = 2 * part[begins]
    row[at], row[at + 1] = np.where(rises, least, greatest), np.where(rises, greatest, least)
    return row


def _parts(line: Line, low: float, size: float, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The part in which each point lies, and the first point of each part that has any."""
    part = np.clip(((line.places - low) / size).astype(np.int64), 0, width - 1)
    return part, np.flatnonzero(np.append(True, part[1:] != part[:-1]))


@dataclass(frozen=True)
class Band:
    """The mean of some lines at each place, and the least and greatest of them."""

    mean: Values
    low: Values
    high: Values


def averaged(groups: Sequence[Sequence[Line]], width: int) -> tuple[Values, list[Band]]:
    """Each group of lines as a band, at the same places: at most ``width`` of them.

    A line counts from its first to its last point; between its points it is drawn straight.
    """
    lines = [line for group in groups for line in group]
    is_long = any(len(line) > width for line in lines)
    places = np.empty(0) if is_long else _union(lines)
    if is_long or len(places) > width:
        places = np.linspace(*_bounds(lines), width)
    return places, [_band(group, places, width) for group in groups]


def _band(lines: Sequence[Line], places: Values, width: int) -> Band:
    rows = np.full((max(1, len(lines)), len(places)), np.nan)
    for at, line in enumerate(lines):
        if len(line):
            rows[at] = np.interp(places, line.places, line.values, left=np.nan, right=np.nan)
    known = np.isfinite(rows)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, rows, 0.0).sum(axis=0) / np.where(count, count, np.nan)
    low = np.where(known, rows, np.inf).min(axis=0)
    high = np.where(known, rows, -np.inf).max(axis=0)
    low[count == 0] = high[count == 0] = np.nan
    return Band(mean, low, high)
