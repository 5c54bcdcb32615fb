"""Reads the answers in a step's file, row by row.

A file of any size takes the memory of its longest row. Any key but ``input`` may be missing from a
row, and a value may have any type.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from compute.runners.far.common import open_file

LONGEST = 32 << 20  # bytes of a row
MOST_ROWS = 500_000  # of a file
BLOCK = 1 << 20
MOST_TOKENS = 1 << 31
PADDING = "pad"  # so begins the uid of a row with which verl fills up a batch
OF_VERL = frozenset({"input", "output", "gts", "score", "step", "uid"})
# What the node adds to verl's rows: tokens of an answer, those of them that it was trained on (a
# tool's answer is not), and the mean advantage over these.
TOKENS, TRAINED, ADVANTAGE = "trainyard_tokens", "trainyard_trained", "trainyard_advantage"
OF_NODE = frozenset({TOKENS, TRAINED, ADVANTAGE})
NO_PARTS = OF_VERL | OF_NODE
Row = dict[str, Any]


@dataclass
class LeftOut:
    """What of a file is not shown, and how far it was read."""

    broken: int = 0  # rows that are no JSON objects, or have no text of a prompt
    long: int = 0  # rows that are longer than LONGEST
    is_torn: bool = False  # the last row is not whole: it is being written, or the run was killed
    is_cut: bool = False  # there are more than MOST_ROWS
    end: int = 0  # the byte after the last whole row


def rows_of(
    path: Path, left_out: LeftOut, start: int = 0, most: int = MOST_ROWS
) -> Iterator[tuple[int, int, Row]]:
    """The rows of a file from a byte on, each with its place: the first byte, and how many.

    What is wrong with the file is counted. Raises ``OSError``.
    """
    at = left_out.end = start
    with open_file(path) as file:
        file.seek(start)
        for _ in range(most):
            if not (line := file.readline(LONGEST + 1)):
                return
            size = len(line)
            if size > LONGEST:
                left_out.long += 1
                size += _skip_line(file, line)
            elif (row := row_in(line)) is not None:
                yield at, size, row
            elif line.endswith(b"\n"):
                left_out.broken += bool(line.strip())
            else:
                left_out.is_torn = True
                return
            at = left_out.end = at + size
        left_out.is_cut = bool(file.read(1))


def rows_at(path: Path, places: Iterable[tuple[int, int]]) -> Iterator[Row | None]:
    """The rows at these places, in their order; None where a row is not there any more.

    Raises ``OSError``.
    """
    at = 0
    with open_file(path) as file:
        for offset, size in places:
            if offset != at:
                file.seek(offset)
            at = offset + size
            yield row_in(file.read(size))


def _skip_line(file: BinaryIO, line: bytes) -> int:
    """Read to the end of a line of which the beginning was read; the bytes that came."""
    count = 0
    while line and not line.endswith(b"\n"):
        line = file.readline(BLOCK)
        count += len(line)
    return count


def row_in(line: bytes) -> Row | None:
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


def part_of(value: Any) -> float:
    """A part of the reward as a number, true and false as 1 and 0; NaN for anything else."""
    if isinstance(value, bool):
        return float(value)
    found = score_of({"score": value})
    return math.nan if found is None else found


def tokens_of(row: Row, name: str) -> int:
    """A count of tokens; -1 where the row has none."""
    count = row.get(name)
    return count if type(count) is int and 0 <= count < MOST_TOKENS else -1


def is_padding(row: Row) -> bool:
    uid = row.get("uid")
    return isinstance(uid, str) and uid.startswith(PADDING)


def place_of(row: Row) -> tuple[str, int, int]:
    """What the rows of one prompt have in common, the number of the answer to it, and which of the
    answer's outputs a row is; without such numbers (-1, 0).

    verl's uid is ``<prompt>_<answer>_<output>``: an answer of several turns may have several
    outputs. A row without a uid is an answer to its prompt's text.
    """
    uid = row.get("uid")
    if not isinstance(uid, str) or not uid:
        return digest(text_of(row["input"])), -1, 0
    parts = uid.rsplit("_", 2)
    if len(parts) == 3 and is_number(parts[1]) and is_number(parts[2]):
        return parts[0], int(parts[1]), int(parts[2])
    return uid, -1, 0


def is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def digest(text: str) -> str:
    """A short name for a text, which may stand in an address."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
