"""Searches a log of any size, a stretch at a time, so that the first hits are shown at once."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitoring.logs.blocks import Lines, blocks
from monitoring.logs.question import LEVELS, Question

BEFORE, AFTER = 120, 400  # characters of a long line that are shown round what was found


@dataclass(frozen=True)
class Hit:
    """A line. ``found`` is what was looked for, between the rest of the line."""

    start: int  # byte
    number: int  # of the line, from 1
    level: str
    before: str
    found: str
    after: str

    @property
    def text(self) -> str:
        return f"{self.before}{self.found}{self.after}"


@dataclass(frozen=True)
class Stretch:
    """What was found up to the byte ``end``, at which line ``line`` begins. ``is_whole``: there was
    nothing more to read."""

    end: int
    line: int
    size: int
    is_whole: bool
    hits: list[Hit] = field(default_factory=list)


def search(
    path: Path,
    question: Question,
    secrets: Sequence[bytes] = (),
    *,
    start: int = 0,
    line: int = 1,
    most: int = 100,
    seconds: float = 1.0,
    to_end: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Stretch:
    """Search from a byte on, at which line number ``line`` begins, until there are ``most`` hits or
    the time is over. Raises ``OSError``."""
    until, hits = clock() + seconds, list[Hit]()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for block in blocks(file, start, secrets, to_end=to_end):
            places = matching(block.array, question.patterns)[: most - len(hits)]
            hits += _hits(block, places, line, question.wanted)
            if len(hits) >= most and (last := int(places[-1])) < len(block.starts) - 1:
                return Stretch(int(block.starts[last + 1]), line + last + 1, size, False, hits)
            start, line = block.end, line + len(block.starts) - block.is_broken
            if len(hits) >= most or clock() > until:
                break
        else:
            return Stretch(start, line, size, True, hits)
    return Stretch(start, line, size, start >= size, hits)


def matching(lines: pa.StringArray, patterns: Sequence[str]) -> npt.NDArray[np.int64]:
    """The places of the lines that match all the patterns."""
    places = np.arange(len(lines))
    for pattern in patterns:
        is_part = len(places) < len(lines)
        shown = lines.take(places) if is_part else lines
        is_found = pc.match_substring_regex(shown, pattern=pattern)
        places = places[is_found.to_numpy(zero_copy_only=False)]
    return places


def _hits(block: Lines, places: npt.NDArray[np.int64], line: int, wanted: str) -> Iterator[Hit]:
    if not len(places):
        return
    found = block.array.take(places)
    levels = levels_of(found)
    for at, (before, inside, after) in enumerate(_parts(found, wanted)):
        place = int(places[at])
        yield Hit(int(block.starts[place]), line + place, levels[at], before, inside, after)


def levels_of(lines: pa.StringArray) -> list[str]:
    """The level of each line, empty where it has none."""
    found = [""] * len(lines)
    for level in reversed(LEVELS):
        for place in matching(lines, [LEVELS[level]]):
            found[int(place)] = level
    return found


def _parts(lines: pa.StringArray, wanted: str) -> Iterator[tuple[str, str, str]]:
    """Each line around what was found in it first, cut where it is long."""
    raw = lines.cast(pa.binary())
    begins = pc.find_substring_regex(lines, pattern=wanted) if wanted else None
    # What is left without the match says how long that is: RE2 alone decides what matches.
    # As bytes: ``\C`` matches one of them, and what it leaves of a letter is no text.
    rests = (
        pc.replace_substring_regex(lines, wanted, "", max_replacements=1).cast(pa.binary())
        if wanted
        else None
    )
    for at in range(len(lines)):
        data = raw[at].as_py()
        begin = max(0, begins[at].as_py()) if begins is not None else 0
        length = len(data) - len(rests[at].as_py()) if rests is not None else 0
        yield _cut(data[:begin], data[begin : begin + length], data[begin + length :])


def _cut(before: bytes, found: bytes, after: bytes) -> tuple[str, str, str]:
    first, inside, last = (part.decode("utf-8", "replace") for part in (before, found, after))
    if len(first) > BEFORE:
        first = f"…{first[-BEFORE:]}"
    if len(inside) > AFTER:
        inside, last = f"{inside[:AFTER]}…", ""
    return first, inside, f"{last[:AFTER]}…" if len(last) > AFTER else last
