"""What a filter can speak of: fields, each of a sort that says how it is compared, and metrics."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches

TEXT, NUMBER, TIME, SPAN, CHOICE, FLAG = "text", "number", "time", "span", "choice", "flag"
ORDERED = ("=", "!=", "<", "<=", ">", ">=", "in")
OPERATORS: Mapping[str, tuple[str, ...]] = {
    TEXT: ("=", "!=", "~", "!~", "in"),
    CHOICE: ("=", "!=", "in"),
    NUMBER: ORDERED,
    SPAN: ("<", "<=", ">", ">="),
    TIME: ("<", "<=", ">", ">="),
    FLAG: ("=", "!="),
}
EXAMPLES = {
    TEXT: "a word, or words in quotes",
    NUMBER: "a number, such as 0.4 or 1e-5",
    TIME: "a date such as 2026-11-01, of the years 1970 to 9000, or a time ago such as 7d",
    SPAN: "a length of time, such as 90s, 30m, 2h or 1d, of at most 10000d",
}
LONGEST_SPAN = timedelta(days=10_000)
# A moment that a time zone may shift by a day, and a database can still keep.
FIRST_YEAR, LAST_YEAR = 1970, 9000
# Which figure of a metric: the newest, the least, the greatest, and the better one of these two.
FIGURES = ("last", "best", "low", "high")
FLAGS = {"yes": True, "no": False}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SPELT_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
SPELT_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
Value = str | float | bool | datetime | timedelta


@dataclass(frozen=True)
class Field:
    """Something of a job that a filter compares. ``choices`` are the words of a ``CHOICE``."""

    name: str
    sort: str
    means: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vocabulary:
    """``stands_for`` says how many metrics a word means: the one of this name, and those whose
    names begin with it and a slash. ``metrics`` are names to propose: some of them, not all.
    ``why_not_best`` says why a metric has no best value; empty where it has one."""

    fields: Mapping[str, Field]
    stands_for: Callable[[str], int]
    metrics: Sequence[str] = ()
    why_not_best: Callable[[str], str] = lambda name: ""

    def field(self, name: str) -> Field | None:
        return self.fields.get(name.lower())

    def near(self, name: str) -> list[str]:
        """Fields and metrics with names like this one, or all fields."""
        return get_close_matches(name.lower(), [*self.fields, *self.metrics]) or [*self.fields]


def value_of(field: Field, text: str) -> Value | None:
    """A word as a value of the field; None where it is none."""
    if field.sort == CHOICE:
        return next((choice for choice in field.choices if choice.lower() == text.lower()), None)
    if field.sort == FLAG:
        return FLAGS.get(text.lower())
    return text if field.sort == TEXT else READERS[field.sort](text)


def values_possible(field: Field) -> tuple[str, ...]:
    return field.choices if field.sort == CHOICE else tuple(FLAGS) if field.sort == FLAG else ()


def _number(text: str) -> float | None:
    if not SPELT_NUMBER.fullmatch(text):
        return None
    return number if math.isfinite(number := float(text)) else None


def _span(text: str) -> timedelta | None:
    match = SPELT_SPAN.fullmatch(text)
    if not match:
        return None
    seconds = float(match[1]) * SECONDS[match[2]]
    return timedelta(seconds=seconds) if seconds <= LONGEST_SPAN.total_seconds() else None


def _time(text: str) -> datetime | timedelta | None:
    """A moment of the calendar, or how long ago."""
    if (ago := _span(text)) is not None:
        return ago
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None


READERS: Mapping[str, Callable[[str], Value | None]] = {
    NUMBER: _number,
    SPAN: _span,
    TIME: _time,
}
