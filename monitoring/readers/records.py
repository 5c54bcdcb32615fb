"""Read ``system.jsonl`` and ``events.jsonl``: lines of JSON objects with the time in ``at``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from compute.runners.text import storable
from monitoring.readers.lines import Line
from monitoring.readers.parse import parse


@dataclass(frozen=True)
class Record:
    position: int
    at: datetime
    data: dict[str, Any]  # the object without ``at``


def read_records(lines: Iterable[Line]) -> Iterator[Record]:
    """Yield the records that can be read; partial lines and lines of other kinds are skipped."""
    for line in lines:
        try:
            data = parse(line.text)
            at = datetime.fromtimestamp(float(data.pop("at")), UTC)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
            continue
        yield Record(line.position, at, storable(data))
