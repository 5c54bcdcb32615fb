"""The metric store. Whoever writes or reads points comes through here; no one else knows how they
are kept.

A run's points lie in blocks, a row for a thousand points of a series. The newest writes are kept as
they came, so that a page is sent what it has not seen at the cost of just that; they go into the
blocks together, when there are enough of them.
"""

from monitoring.store.news import News, since, since_across
from monitoring.store.reading import (
    Window,
    across,
    all_names,
    at_steps,
    clocks,
    highest,
    last,
    position,
    times,
    window,
)
from monitoring.store.writing import append, rewind, settle

__all__ = [
    "News",
    "Window",
    "across",
    "all_names",
    "append",
    "at_steps",
    "clocks",
    "highest",
    "last",
    "position",
    "rewind",
    "settle",
    "since",
    "since_across",
    "times",
    "window",
]
