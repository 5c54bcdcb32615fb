"""The distribution of a field's values."""

import dataclasses
from array import array
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.formats.check import Lengths
from datasets.formats.queries import Query
from datasets.formats.tables import batches

TOP = 20
SHOWN = 200  # longest value, in characters
MOST_BINS = 200


@dataclass
class Distribution:
    """``values``: [{"value", "count"}], the most frequent first (texts and booleans);
    ``histogram``: [{"from", "to", "count"}] (numbers). ``missing`` counts rows without a value,
    ``distinct`` counts different values (approximately, above some thousands)."""

    field: str
    kind: str
    rows: int
    missing: int
    distinct: int
    values: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    histogram: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def fields(path: Path) -> list[str]:
    """Dotted names of all fields with plain values; ``messages.role`` is a field inside a list."""
    with Query(path) as query:
        return list(query.fields)


def distribution(path: Path, field: str, bins: int = 20) -> Distribution:
    """The top values or the histogram of a field. Raises ValueError for an unknown field."""
    with Query(path) as query:
        values = f"list_filter({query.values_of(field)}, lambda x: x IS NOT NULL)"
        sql = f"SELECT count(*), count(*) FILTER (coalesce(len({values}), 0) = 0) FROM {{file}}"  # noqa: S608
        [(rows, missing)] = query.run(sql)
        each = f"(SELECT unnest({values}) AS v FROM {{file}})"  # noqa: S608
        kind = "number" if query.is_number(field) else "text"
        [(distinct,)] = query.run(f"SELECT approx_count_distinct(v) FROM {each}")  # noqa: S608
        found = Distribution(field, kind, rows, missing, distinct)
        if kind == "number":
            found.histogram = _histogram(query, each, max(1, min(bins, MOST_BINS)))
        else:
            found.values = _top(query, each)
        return found


def lengths_by(path: Path, field: str, lengths: Lengths | None = None) -> list[dict[str, Any]]:
    """Lengths for the 20 most frequent values: {"value", "rows", "mean", "p50", "p95"} each.

    Lengths are in characters of the row's turns, or in tokens when ``lengths`` is given.
    """
    with Query(path) as query:
        query.values_of(field)  # raises ValueError for an unknown field
    found: dict[str, array[int]] = defaultdict(lambda: array("q"))
    for rows in batches(path):
        counted = lengths(rows) if lengths else [_characters(row) for row in rows]
        for row, length in zip(rows, counted, strict=True):
            for value in set(_values(row, field.split("."))):
                found[value].append(length)
    most = Counter({value: len(every) for value, every in found.items()}).most_common(TOP)
    return [_line(value, np.frombuffer(found[value], np.int64)) for value, _ in most]


def _top(query: Query, each: str) -> list[dict[str, Any]]:
    sql = (
        f"SELECT left(CAST(v AS VARCHAR), {SHOWN}) AS t, count(*) AS n FROM {each} "  # noqa: S608
        f"GROUP BY t ORDER BY n DESC, t LIMIT {TOP}"
    )
    return [{"value": value, "count": count} for value, count in query.run(sql)]


def _histogram(query: Query, each: str, bins: int) -> list[dict[str, Any]]:
    finite = f"(SELECT CAST(v AS DOUBLE) AS v FROM {each} WHERE isfinite(CAST(v AS DOUBLE)))"  # noqa: S608
    [(low, high)] = query.run(f"SELECT min(v), max(v) FROM {finite}")  # noqa: S608
    if low is None:
        return []
    step = (high - low) / bins or 1.0
    place = f"least(floor((v - {low!r}) / {step!r}), {bins - 1})"
    counts = dict(query.run(f"SELECT {place} AS b, count(*) FROM {finite} GROUP BY b"))  # noqa: S608
    return [
        {"from": low + at * step, "to": low + (at + 1) * step, "count": counts.get(float(at), 0)}
        for at in range(bins if high > low else 1)
    ]


def _values(value: Any, names: list[str]) -> list[str]:
    if isinstance(value, list):
        return [text for one in value for text in _values(one, names)]
    if not names:
        return [] if value is None else [str(value)[:SHOWN]]
    if not isinstance(value, dict):
        return []
    return _values(value.get(names[0]), names[1:])


def _characters(row: dict[str, Any]) -> int:
    names = ("messages", "prompt", "chosen")
    return sum(len(turn["content"] or "") for name in names for turn in row.get(name) or ())


def _line(value: str, lengths: "np.ndarray") -> dict[str, Any]:
    lengths = lengths[lengths >= 0]
    if not len(lengths):
        return {"value": value, "rows": 0, "mean": 0.0, "p50": 0.0, "p95": 0.0}
    return {
        "value": value,
        "rows": len(lengths),
        "mean": float(lengths.mean()),
        "p50": float(np.percentile(lengths, 50)),
        "p95": float(np.percentile(lengths, 95)),
    }
