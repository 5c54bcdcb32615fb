"""Lines of verl's file logger: ``{"step": n, "data": {name: value}}``, read many at a time."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compute.runners.text import readable
from monitoring.readers.lines import Line
from monitoring.readers.parse import parse_bytes
from monitoring.series.column import EMPTY, Column, Values, in_order
from monitoring.series.frame import Frame, frame_of

NAME_LENGTH = 200
STEP_TIME = "timing_s/step"  # what verl's RL trainers say of the duration of each step
NUMBERS = frozenset({float, int, type(None)})
LAST_STEP = 2**31


@dataclass(frozen=True)
class Metrics:
    """``frames`` holds no series twice at one step. ``times`` has the epoch seconds of each step.

    ``broken`` are the lines that could not be read.
    """

    frames: list[Frame[str]] = field(default_factory=list)
    times: Column = EMPTY
    broken: list[Line] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        """The highest step of a line that has points; 0 when there is none."""
        return max((int(frame.steps[-1]) for frame in self.frames), default=0)


@dataclass(frozen=True)
class Row:
    step: int
    data: dict[str, Any]


def read_metrics(lines: Iterable[Line], written_at: float) -> Metrics:
    """Read metrics lines, of which the newest was written at ``written_at`` (epoch seconds).

    A later line wins, and a value may be NaN or infinite: verl's logger writes these as null, so
    null is NaN here. Other values that are not numbers are left out.
    """
    rows, broken = list[Row](), list[Line]()
    for line in lines:
        try:
            rows.append(_read(line.raw))
        except ValueError:
            broken.append(line)
    return Metrics(_frames(rows), _times(rows, written_at), broken)


def _read(raw: bytes) -> Row:
    record = parse_bytes(raw)
    if not isinstance(record, dict) or not isinstance(record.get("data"), dict):
        raise ValueError("not a metrics line")
    step = record.get("step")
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < LAST_STEP:
        raise ValueError("no step")
    data = record["data"]
    if not NUMBERS.issuperset(map(type, data.values())):
        data = {name: value for name, value in data.items() if type(value) in NUMBERS}
    return Row(step, data)


def _frames(rows: Sequence[Row]) -> list[Frame[str]]:
    """Lines of the same names together: as a rule there are one or two sorts of lines."""
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(tuple(row.data), []).append(row)
    frames = [_frame(names, alike[names]) for names in alike if names]
    return frames if _are_apart(frames) else _one_by_one(rows)


def _are_apart(frames: Sequence[Frame[str]]) -> bool:
    """Whether no series can stand at the same step in two of the frames."""
    names = [name for frame in frames for name in frame.keys]
    if len(set(names)) == len(names):
        return True
    steps = np.concatenate([frame.steps for frame in frames])
    return len(np.unique(steps)) == len(steps)


def _one_by_one(rows: Iterable[Row]) -> list[Frame[str]]:
    """A frame for each series, for lines that say a step of a series more than once."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        for name, value in row.data.items():
            found.setdefault(_cut(name), {})[row.step] = _as_float(value)
    return [_frame_of_points(name, points) for name, points in found.items()]


def _frame_of_points(name: str, points: dict[int, float]) -> Frame[str]:
    steps, values = np.array(list(points), np.int64), np.array(list(points.values()), np.float64)
    return frame_of((name,), steps, values[:, None])


def _frame(names: tuple[str, ...], rows: Sequence[Row]) -> Frame[str]:
    numbers = _matrix([list(row.data.values()) for row in rows])
    places = {_cut(name): at for at, name in enumerate(names)}
    if len(places) < len(names):  # different only where they were cut: the last one stays
        numbers = numbers[:, list(places.values())]
    steps = np.array([row.step for row in rows], dtype=np.int64)
    return frame_of(tuple(places), steps, numbers)


def _cut(name: str) -> str:
    return readable(name)[:NAME_LENGTH]


def _matrix(values: list[list[Any]]) -> Values:
    try:
        return np.array(values, dtype=np.float64)  # None becomes NaN
    except OverflowError:  # a whole number larger than any float
        return np.array([[_as_float(value) for value in row] for row in values])


def _as_float(value: int | float | None) -> float:
    if value is None:
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _times(rows: Sequence[Row], written_at: float) -> Column:
    """When each step was first written, at the latest: backwards from the newest line.

    Between two steps lies the duration that verl measured, where its lines tell one; without it
    the earlier step was there when the later one came, and no more is known.
    """
    at, found, later = written_at, dict[int, float](), None
    for row in reversed(rows):
        if later is not None and row.step < later.step:
            at -= _duration(later)
        found[row.step] = at
        later = row
    return in_order(np.array(list(found), np.int64), np.array(list(found.values()), np.float64))


def _duration(row: Row) -> float:
    took = _as_float(row.data.get(STEP_TIME))
    return took if math.isfinite(took) and took > 0 else 0.0


def write_value(value: float | None) -> float | str:
    """A stored value for JSON: a text for NaN, None and infinity, which are no JSON numbers."""
    if value is None or math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
