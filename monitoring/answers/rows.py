"""Reads the answers in a step's file, row by row.

A file of any size takes the memory of its longest row. Any key but ``input`` may be missing from a
row, and a value may have any type.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from compute.runners.far.common import open_file

LONGEST = 32 << 20  # bytes of a row
MOST_ROWS = 500_000  # of a file
BLOCK = 1 << 20
PADDING = "pad"  # so begins the uid of a row with which verl fills up a batch
OF_VERL = frozenset({"input", "output", "gts", "score", "step", "uid"})
Row = dict[str, Any]


@dataclass
class LeftOut:
    """What of a file is not shown."""

    broken: int = 0  # rows that are no JSON objects, or have no text of a prompt
    long: int = 0  # rows that are longer than LONGEST
    is_torn: bool = False  # the last row is not whole: it is being written, or the run was killed
    is_cut: bool = False  # there are more than MOST_ROWS


def rows_of(path: Path, left_out: LeftOut) -> Iterator[Row]:
    """The rows of a file; what is wrong with it is counted. Raises ``OSError``."""
    count = 0
    with open_file(path) as file:
        while line := file.readline(LONGEST + 1):
            if count == MOST_ROWS:
                left_out.is_cut = True
                return
            count += 1
            if len(line) > LONGEST:
                left_out.long += 1
                _skip_line(file, line)
            elif (row := _row_in(line)) is not None:
                yield row
            elif line.endswith(b"\n"):
                left_out.broken += bool(line.strip())
            else:
                left_out.is_torn = True


def _skip_line(file: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(BLOCK)


def _row_in(line: bytes) -> Row | None:
    try:
        row = orjson.loads(line)
    except ValueError:
        row = _lenient(line)
    return row if isinstance(row, dict) and "input" in row else None


def _lenient(line: bytes) -> Any:
    """Python writes NaN, Infinity and lone surrogates, which are no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def text_of(value: Any) -> str:
    """A value as text; it may hold lone surrogates, which ``shown`` takes out."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def shown(text: str) -> str:
    """A text as it can be sent: a lone surrogate is no character."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def score_of(row: Row) -> float | None:
    """The score of a row; None where it has none that can be counted with."""
    score = row.get("score")
    if isinstance(score, float):  # first, since there may be very many
        return score if math.isfinite(score) else None
    if isinstance(score, bool) or not isinstance(score, int):
        return None
    try:
        return float(score)
    except OverflowError:  # an integer of hundreds of digits
        return None


def is_padding(row: Row) -> bool:
    uid = row.get("uid")
    return isinstance(uid, str) and uid.startswith(PADDING)


def place_of(row: Row) -> tuple[str, bool]:
    """What the rows of one prompt have in common, and whether a row begins an answer.

    verl's uid is ``<prompt>_<answer>_<output>``: an answer of several turns may have several
    outputs. A row without a uid is an answer to its prompt's text.
    """
    uid = row.get("uid")
    if not isinstance(uid, str) or not uid:
        return digest(text_of(row["input"])), True
    parts = uid.rsplit("_", 2)
    if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal():
        return parts[0], parts[2] == "0"
    return uid, True


def digest(text: str) -> str:
    """A short name for a text, which may stand in an address."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
