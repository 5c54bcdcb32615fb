"""Read lines of verl's file logger: ``{"step": n, "data": {name: value}}``."""

import math
from collections.abc import Iterable
from typing import Any

from compute.runners.text import readable
from monitoring.readers.lines import Line
from monitoring.readers.parse import parse

NAME_LENGTH = 200


def read_points(lines: Iterable[Line]) -> tuple[dict[tuple[str, int], float], list[Line]]:
    """Read points from metrics lines.

    Returns ``{(name, step): value}`` and the lines that could not be read. A later line wins; a
    value may be NaN or infinite. verl's logger writes NaN and the infinities as null, so null is
    NaN here. Other values that are not numbers are skipped.
    """
    points: dict[tuple[str, int], float] = {}
    broken = []
    for line in lines:
        try:
            step, data = _read(line.text)
        except ValueError:
            broken.append(line)
            continue
        for name, value in data.items():
            if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
                points[readable(name)[:NAME_LENGTH], step] = _as_float(value)
    return points, broken


def _read(text: str) -> tuple[int, dict[str, Any]]:
    record = parse(text)
    if not isinstance(record, dict) or not isinstance(record.get("data"), dict):
        raise ValueError("not a metrics line")
    step = record.get("step")
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 2**31:
        raise ValueError("no step")
    return step, record["data"]


def _as_float(value: int | float | None) -> float:
    if value is None:
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def write_value(value: float | None) -> float | str:
    """A stored value for JSON: a text for NaN, None and infinity, which are no JSON numbers."""
    if value is None or math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value
