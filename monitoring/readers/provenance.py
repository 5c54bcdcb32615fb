"""Read ``provenance.jsonl``: a line for each part of what a run was made with.

A run may write anything there. What is kept of a part is bounded, and says what was left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from compute.runners.text import storable
from monitoring.readers.lines import Line
from monitoring.readers.parse import parse_bytes
from monitoring.readers.records import LAST

PARTS = ("software", "hardware", "config")
LONGEST = 4 << 20  # bytes of a line; that of verl's largest configuration has 60,000
MOST = 5000  # values of one part
DEEPEST = 20
LONGEST_TEXT = 10_000  # characters of one value
LONGEST_NAME = 200
CUT = " …"


@dataclass(frozen=True)
class Part:
    """``data`` has ``left_out``, the number of values that are not in it, if there are any."""

    name: str
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """The last of each part, and the lines that are none."""

    found: dict[str, Part] = field(default_factory=dict)
    broken: list[Line] = field(default_factory=list)


def read_parts(lines: Iterable[Line]) -> Parts:
    parts = Parts()
    for line in lines:
        try:
            part = _read(line)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            parts.broken.append(line)
        else:
            parts.found[part.name] = part
    return parts


def _read(line: Line) -> Part:
    if len(line.raw) > LONGEST:
        raise ValueError("too long")
    told = parse_bytes(line.raw)
    name, at, data = told["part"], float(told["at"]), told["data"]
    if name not in PARTS or not isinstance(data, dict) or not 0 <= at <= LAST:
        raise ValueError("no part")
    return Part(name, datetime.fromtimestamp(at, UTC), bounded(data))


def bounded(data: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a part."""
    room = _Room()
    kept: dict[str, Any] = storable(room.kept(data, 0))
    return kept | ({"left_out": room.left_out} if room.left_out else {})


class _Room:
    def __init__(self) -> None:
        self._left, self.left_out = MOST, 0

    def kept(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict | list) and value:
            if depth > DEEPEST:
                raise ValueError("nested too deep")
            return self._all(value, depth + 1)
        self._left -= 1
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            return value[:LONGEST_TEXT] + CUT
        return value

    def _all(self, value: Any, depth: int) -> Any:
        """The first of its values, while there is room."""
        if isinstance(value, list):
            return [self.kept(inner, depth) for inner in value if self._has_room()]
        return {
            str(name)[:LONGEST_NAME]: self.kept(inner, depth)
            for name, inner in value.items()
            if self._has_room()
        }

    def _has_room(self) -> bool:
        self.left_out += self._left <= 0
        return self._left > 0
