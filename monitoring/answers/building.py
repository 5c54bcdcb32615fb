"""From the rows of a step's file to its columns, from the beginning or from where it ended.

Rows are taken together in batches: there may be hundreds of thousands.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from monitoring.answers.rows import (
    ADVANTAGE,
    MOST_ROWS,
    NO_PARTS,
    TOKENS,
    TRAINED,
    LeftOut,
    Row,
    digest,
    is_padding,
    part_of,
    place_of,
    rows_of,
    score_of,
    text_of,
    tokens_of,
)
from monitoring.answers.step import MOST_PARTS, Floats, Ints, Step

WHOLE = ("offset", "size", "prompt", "answer", "output", "characters", "tokens", "trained")
REAL = ("score", "advantage")
BATCH = 2_000  # rows
LONGEST_NAME = 100  # characters of the name of a part
Placed = tuple[int, int, Row]


def built(path: Path, before: Step | None = None) -> Step:
    """The columns of a file; of ``before`` those of its beginning. Raises ``OSError``."""
    columns = Columns(before)
    left_out = replace(before.left_out, is_torn=False) if before else LeftOut()
    most = MOST_ROWS - (len(before) if before else 0)
    rows = rows_of(path, left_out, left_out.end, most)
    while batch := [*islice(rows, BATCH)]:
        columns.add(batch)
    return columns.step(path, left_out)


class Columns:
    """Columns that grow batch by batch, after those of ``before``."""

    def __init__(self, before: Step | None) -> None:
        names = (*WHOLE, *REAL)
        self._columns: dict[str, list[Any]] = {
            name: [getattr(before, name)] if before else [] for name in names
        }
        self._parts: dict[str, list[Floats]] = {
            name: [column] for name, column in (before.parts if before else {}).items()
        }
        self._keys = before.keys.tolist() if before else []
        self._texts = before.texts.tolist() if before else []
        self._known = {key: number for number, key in enumerate(self._keys)}
        self._numbers: dict[str, int] = {}  # of prompts, by what their rows have in common
        self._padding = before.padding if before else 0
        self._count = len(before) if before else 0

    def add(self, batch: Sequence[Placed]) -> None:
        kept = [placed for placed in batch if not is_padding(placed[2])]
        self._padding += len(batch) - len(kept)
        if not kept:
            return
        rows = [row for _, _, row in kept]
        places = [place_of(row) for row in rows]
        found = {
            "offset": whole([offset for offset, _, _ in kept]),
            "size": whole([size for _, size, _ in kept]),
            "prompt": whole([*map(self._number, [place for place, _, _ in places], rows)]),
            "answer": whole([answer for _, answer, _ in places]),
            "output": whole([output for _, _, output in places]),
            "characters": whole([_length(row.get("output")) for row in rows]),
            "tokens": _counts(rows, TOKENS),
            "trained": _counts(rows, TRAINED),
            "score": reals([row.get("score") for row in rows], _score),
            "advantage": reals([row.get(ADVANTAGE) for row in rows], part_of),
        }
        for name, column in found.items():
            self._columns[name].append(column)
        self._add_parts(rows)
        self._count += len(rows)

    def _number(self, place: str, row: Row) -> int:
        number = self._numbers.get(place)
        if number is not None:
            return number
        key = int(digest(place), 16)
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._keys)
            self._keys.append(key)
            self._texts.append(int(digest(text_of(row["input"])), 16))
        self._numbers[place] = number
        return number

    def _add_parts(self, rows: Sequence[Row]) -> None:
        layouts = dict.fromkeys(map(tuple, rows))
        names = dict.fromkeys(n for layout in layouts for n in layout if is_part(n))
        for name in islice(names, 10 * MOST_PARTS):
            values = reals([row.get(name) for row in rows], part_of)
            if name in self._parts:
                self._fill(name, self._count)
                self._parts[name].append(values)
            elif len(self._parts) < MOST_PARTS and not np.isnan(values).all():
                self._parts[name] = [np.full(self._count, np.nan), values]

    def _fill(self, name: str, count: int) -> None:
        """A part that rows did not have is NaN there."""
        lacking = count - sum(map(len, self._parts[name]))
        if lacking:
            self._parts[name].append(np.full(lacking, np.nan))

    def step(self, path: Path, left_out: LeftOut) -> Step:
        for name in self._parts:
            self._fill(name, self._count)
        columns: dict[str, Any] = {
            name: np.concatenate(found) if found else np.empty(0, _type_of(name))
            for name, found in self._columns.items()
        }
        return Step(
            path=path, **columns,
            parts={name: np.concatenate(found) for name, found in self._parts.items()},
            keys=np.array(self._keys, np.uint64), texts=np.array(self._texts, np.uint64),
            padding=self._padding, left_out=left_out,
        )  # fmt: skip


def is_part(name: str) -> bool:
    """A longer name is no column: it would stand in each row of a page."""
    return name not in NO_PARTS and len(name) <= LONGEST_NAME


def _type_of(name: str) -> Any:
    return np.float64 if name in REAL else np.int64


def whole(values: Sequence[int]) -> Ints:
    return np.array(values, np.int64)


def reals(values: Sequence[Any], number_of: Callable[[Any], float]) -> Floats:
    """Numbers, and NaN for what is none. Where all are floats they are taken at once."""
    types = set(map(type, values))
    if types == {type(None)}:
        return np.full(len(values), np.nan)
    if types != {float}:
        values = [number_of(value) for value in values]
    found = np.array(values, np.float64)
    found[np.isinf(found)] = np.nan
    return found


def _score(value: Any) -> float:
    found = score_of({"score": value})
    return np.nan if found is None else found


def _counts(rows: Sequence[Row], name: str) -> Ints:
    if not any(name in row for row in rows):
        return np.full(len(rows), -1, np.int64)
    return whole([tokens_of(row, name) for row in rows])


def _length(text: Any) -> int:
    return len(text) if type(text) is str else len(text_of(text))
