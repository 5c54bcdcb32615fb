"""Kinds of events: what each means, in words, and how grave it is. One registry for all apps."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class EventKind:
    """``name`` stands in the event's row, ``source`` says who writes it, ``words`` are shown."""

    name: str
    source: str
    severity: Severity
    words: str
    is_known: bool = True


_known: dict[tuple[str, str], EventKind] = {}


def register(name: str, source: str, severity: Severity, words: str) -> str:
    """Add a kind of event, and return its name. Raises ``ValueError`` when it is there already."""
    if (source, name) in _known:
        raise ValueError(f"The kind of event {name!r} of {source!r} is there already.")
    _known[source, name] = EventKind(name, source, severity, words)
    return name


def kind_of(name: str, source: str) -> EventKind:
    """What an event of this name from this source is. A run may write one that nobody knows: it is
    shown as it is, and marked."""
    unknown = EventKind(name, source, Severity.INFO, name, is_known=False)
    return _known.get((source, name), unknown)


def kinds_of(sources: Iterable[str]) -> list[EventKind]:
    """All kinds that these sources write, in the order of their registration."""
    wanted: Collection[str] = set(sources)
    return [kind for kind in _known.values() if kind.source in wanted]
