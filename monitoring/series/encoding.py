"""Points as bytes, and back. All numbers are little-endian, steps int64 and values float64."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np

from monitoring.series.column import Column, Steps, Values
from monitoring.series.frame import Frame

INT, FLOAT = np.dtype("<i8"), np.dtype("<f8")
WIDTH = 8  # bytes of each number
Buffer: TypeAlias = bytes | memoryview  # PostgreSQL's driver gives the latter


def write_steps(steps: Steps) -> bytes:
    """Ascending steps as bytes: none when they are evenly spaced, as those of most series are."""
    gaps = np.diff(steps)
    if len(gaps) == 0 or bool(np.all(gaps == gaps[0])):
        return b""
    return steps.astype(INT).tobytes()


def read_steps(data: Buffer, first: int, last: int, count: int) -> Steps:
    """The steps that ``write_steps`` wrote, from their bytes, first, last and number."""
    if data:
        return np.frombuffer(data, INT)
    gap = (last - first) // (count - 1) if count > 1 else 1
    return first + gap * np.arange(count, dtype=np.int64)


def write_values(values: Values) -> bytes:
    return values.astype(FLOAT).tobytes()


def read_values(data: Buffer) -> Values:
    return np.frombuffer(data, FLOAT)


def read_column(steps: Buffer, values: Buffer, first: int, last: int) -> Column:
    """A column from the two byte strings of a block, and its first and last step."""
    found = read_values(values)
    return Column(read_steps(steps, first, last, len(found)), found)


def write_frames(frames: Iterable[Frame[int]]) -> bytes:
    """Frames as bytes: of each its two lengths, then keys, steps and values row by row."""
    parts: list[bytes] = []
    for frame in frames:
        parts += [
            np.array([len(frame.keys), len(frame.steps)], INT).tobytes(),
            np.array(frame.keys, INT).tobytes(),
            frame.steps.astype(INT).tobytes(),
            frame.values.astype(FLOAT).tobytes(),
        ]
    return b"".join(parts)


def read_frames(data: Buffer) -> Iterator[Frame[int]]:
    """The frames that ``write_frames`` wrote."""
    at = 0
    while at < len(data):
        keys, rows = (int(length) for length in np.frombuffer(data, INT, 2, at))
        at += 2 * WIDTH
        names = tuple(np.frombuffer(data, INT, keys, at).tolist())
        at += keys * WIDTH
        steps = np.frombuffer(data, INT, rows, at)
        at += rows * WIDTH
        values = np.frombuffer(data, FLOAT, rows * keys, at).reshape(rows, keys)
        at += rows * keys * WIDTH
        yield Frame(names, steps, values)
