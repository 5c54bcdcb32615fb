"""Read ``system.jsonl`` and ``events.jsonl``: lines of JSON objects with the time in ``at``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from compute.runners.text import storable
from monitoring.readers.lines import Line
from monitoring.readers.parse import parse

LAST = 2.0**33  # epoch seconds, in the year 2242; a later time comes from a wrong clock
LONGEST = 1 << 16  # bytes of a line; what the node writes is far shorter
DEEPEST = 8  # lists and objects within each other
Data: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Record:
    position: int
    at: datetime
    data: Data  # the object without ``at``


@dataclass(frozen=True)
class Records:
    """``broken`` are the lines that are none: a run may write anything."""

    found: list[Record] = field(default_factory=list)
    broken: list[Line] = field(default_factory=list)


def read_records(lines: Iterable[Line], check: Callable[[Data], Data]) -> Records:
    """The records of the lines. ``check`` returns what is kept of one, or raises ``ValueError``."""
    records = Records()
    for line in lines:
        try:
            records.found.append(_read(line, check))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            records.broken.append(line)
    return records


def _read(line: Line, check: Callable[[Data], Data]) -> Record:
    if len(line.raw) > LONGEST:
        raise ValueError("too long")
    data = parse(line.text)
    at = float(data.pop("at"))
    if not 0 <= at <= LAST or not _is_shallow(data, DEEPEST):
        raise ValueError("no time, or nested too deep")
    return Record(line.position, datetime.fromtimestamp(at, UTC), check(storable(data)))


def _is_shallow(value: Any, depth: int) -> bool:
    if not isinstance(value, list | dict):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(part, depth - 1) for part in parts)
