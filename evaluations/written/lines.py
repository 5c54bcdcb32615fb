"""The scores of an evaluation's prompts, line by line as its run wrote them. A run may write
anything: a line that is none is counted and left out; a value that is no number is not known."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from compute.runners.text import readable
from evaluations.statistics.scores import Scores

MOST_PROMPTS = 200_000
MOST_SAMPLES = 256  # answers to one prompt
MOST_VALUES = 8_000_000
LONGEST_LINE = 1 << 20
LONGEST_TEXT = 200
LONGEST_TASK = 100
MOST_TASKS = 1000
# The part of a reward that says whether an answer is right, as verl takes it.
CORRECT = ("acc",)


class ScoreLines:
    """Takes the bytes of the file in pieces, and gives its scores at the end. ``broken`` counts
    lines that could not be read, ``beyond`` those that were too many."""

    def __init__(self) -> None:
        self.broken = self.beyond = 0
        self._rest = b""
        self._prompts: list[int] = []
        self._keys: list[int] = []
        self._values: list[list[float]] = []
        self._right: list[list[float]] = []
        self._weights: list[float] = []
        self._task: list[int] = []
        self._tasks: dict[str, int] = {}
        self._texts: list[str] = []
        self._says_right = False
        self._widest = 1

    def feed(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._take(line)
        if len(self._rest) > LONGEST_LINE:  # its end is not worth its memory
            self._rest = self._rest[: LONGEST_LINE + 1]

    def scores(self) -> Scores:
        """All that was fed. The last line may have no end."""
        self._take(self._rest)
        self._rest = b""
        width = self._widest
        return Scores(
            prompts=np.array(self._prompts, np.uint64),
            keys=np.array(self._keys, np.uint64),
            values=_padded(self._values, width),
            right=_padded(self._right, width if self._says_right else 0),
            weights=np.array(self._weights, np.float64),
            task=np.array(self._task, np.int64),
            tasks=list(self._tasks),
            texts=self._texts if any(self._texts) else [],
        )

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        row = _row_of(line)
        prompt = _key(row.get("prompt")) if row else None
        if row is None or prompt is None:
            self.broken += 1
            return
        values, right, weight = _figures(row)
        widest = max(self._widest, len(values))
        if len(self._prompts) >= MOST_PROMPTS or widest * (len(self._prompts) + 1) > MOST_VALUES:
            self.beyond += 1
            return
        self._widest = widest
        self._says_right |= right is not None
        self._prompts.append(prompt)
        self._keys.append(prompt if (asked := _key(row.get("input"))) is None else asked)
        self._values.append(values)
        self._right.append(values if right is None else right)
        self._weights.append(weight)
        self._task.append(self._number_of(row.get("task"), _metric(row)))
        text = row.get("text")
        self._texts.append(readable(text[:LONGEST_TEXT]) if isinstance(text, str) else "")

    def _number_of(self, task: Any, metric: Any) -> int:
        if not isinstance(task, str) or not task:
            return 0
        name = readable(f"eval/{task}/{metric}" if isinstance(metric, str) else f"eval/{task}")
        name = name[:LONGEST_TASK]
        if name not in self._tasks and len(self._tasks) >= MOST_TASKS:
            return 0
        return self._tasks.setdefault(name, len(self._tasks))


def _row_of(line: bytes) -> Mapping[str, Any] | None:
    if len(line) > LONGEST_LINE:
        return None
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = _tolerant(line)  # Python's own writer says NaN, which is no JSON
    return row if isinstance(row, dict) else None


def _tolerant(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _key(value: Any) -> int | None:
    if not isinstance(value, str) or len(value) != 16:
        return None
    try:
        return int(value, 16) if value.isalnum() else None
    except ValueError:
        return None


def _figures(row: Mapping[str, Any]) -> tuple[list[float], list[float] | None, float]:
    """The scores, which of them are right where that is said, and the weight."""
    if "nll" in row:
        return [_number(row["nll"])], None, _weight(row.get("tokens"))
    values = _numbers(row.get("scores"))
    parts = row.get("parts")
    parts = parts if isinstance(parts, Mapping) else {}
    said = next((parts[name] for name in CORRECT if name in parts), None)
    right = _numbers(said) if said is not None else None
    if right is not None and len(right) != len(values):
        right = None
    return values or [math.nan], right, 1.0


def _numbers(value: Any) -> list[float]:
    several: Sequence[Any] = value if isinstance(value, list) else [value]
    return [_number(each) for each in several[:MOST_SAMPLES]]


def _metric(row: Mapping[str, Any]) -> Any:
    """The name of what a document of a task scored: said, or that of its first part."""
    parts = row.get("parts")
    first = next(iter(parts), None) if isinstance(parts, dict) else None
    return row.get("metric", first)


def _number(value: Any) -> float:
    """A finite number; NaN for all that is none."""
    if type(value) is bool:
        return float(value)
    if type(value) not in (int, float) or not abs(value) < 1e300:
        return math.nan
    return float(value)


def _weight(value: Any) -> float:
    """Tokens; 0 of those that are not known, so that the prompt does not count."""
    found = _number(value)
    return found if 0 < found < 1e12 else 0.0


def _padded(rows: Sequence[Sequence[float]], width: int) -> "np.ndarray[Any, Any]":
    held = np.full((len(rows), width), np.nan)
    if width == 1:
        held[:, 0] = [row[0] for row in rows]
    elif width:
        for at, row in enumerate(rows):
            held[at, : len(row)] = row[:width]
    return held
