"""Values of several series at the same steps: the form in which lines of metrics come."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from monitoring.series.column import Column, Steps, Values, merged, rows_kept

Key = TypeVar("Key", str, int)


@dataclass(frozen=True)
class Frame(Generic[Key]):
    """``values[i, k]`` is the value of the series ``keys[k]`` at ``steps[i]``.

    The steps ascend strictly. The keys are names in what was read, and ids in the store.
    """

    keys: tuple[Key, ...]
    steps: Steps
    values: Values

    @property
    def points(self) -> int:
        return int(self.values.size)


def frame_of(keys: tuple[Key, ...], steps: Steps, values: Values) -> Frame[Key]:
    """A frame of rows in any order. Of rows with the same step the last one stays."""
    kept = rows_kept(steps)
    return Frame(keys, steps, values) if kept is None else Frame(keys, steps[kept], values[kept])


def joined(frames: Iterable[Frame[Key]]) -> list[Frame[Key]]:
    """Frames of the same keys put together, in their order."""
    alike: dict[tuple[Key, ...], list[Frame[Key]]] = {}
    for frame in frames:
        alike.setdefault(frame.keys, []).append(frame)
    return [_concatenated(keys, parts) for keys, parts in alike.items()]


def _concatenated(keys: tuple[Key, ...], parts: Sequence[Frame[Key]]) -> Frame[Key]:
    if len(parts) == 1:
        return parts[0]
    steps = np.concatenate([part.steps for part in parts])
    return frame_of(keys, steps, np.concatenate([part.values for part in parts]))


def columns(frames: Iterable[Frame[Key]], only: Iterable[Key] | None = None) -> dict[Key, Column]:
    """The points of each series in the frames, or of some; a later frame's value stays."""
    wanted = None if only is None else set(only)
    found: dict[Key, list[Column]] = {}
    for frame in joined(frames):
        rows = np.ascontiguousarray(frame.values.T) if wanted is None else frame.values.T
        for key, values in zip(frame.keys, rows, strict=True):
            if wanted is None or key in wanted:
                found.setdefault(key, []).append(Column(frame.steps, values))
    return {key: merged(parts) for key, parts in found.items()}


def renamed(frame: Frame[str], ids: Mapping[str, int]) -> Frame[int]:
    """The same frame with ids in place of names."""
    return Frame(tuple(ids[name] for name in frame.keys), frame.steps, frame.values)


def frame_of_column(key: Key, column: Column) -> Frame[Key]:
    """A frame of one series."""
    return Frame((key,), column.steps, column.values[:, None])
