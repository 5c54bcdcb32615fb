"""The points of one series: steps in ascending order, each once, and a value for each."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Steps = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """``steps`` ascend strictly; ``values`` has the same length and may hold NaN and infinities."""

    steps: Steps
    values: Values

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, part: slice) -> "Column":
        return Column(self.steps[part], self.values[part])

    @property
    def first_step(self) -> int:
        return int(self.steps[0])

    @property
    def last_step(self) -> int:
        return int(self.steps[-1])

    def up_to(self, step: int) -> "Column":
        """The points up to a step, the step itself included."""
        return self[: int(np.searchsorted(self.steps, step, side="right"))]

    def after(self, step: int) -> "Column":
        """The points after a step."""
        return self[int(np.searchsorted(self.steps, step, side="right")) :]

    def within(self, low: int | None, high: int | None) -> "Column":
        """The points from step ``low`` to step ``high``, both included; None is no bound."""
        begin = 0 if low is None else int(np.searchsorted(self.steps, low, side="left"))
        end = len(self) if high is None else int(np.searchsorted(self.steps, high, side="right"))
        return self[begin:end]


EMPTY = Column(np.empty(0, np.int64), np.empty(0, np.float64))


def merged(columns: Iterable[Column]) -> Column:
    """One column of several. Where two have the same step, the later column's value stays."""
    parts = [column for column in columns if len(column)]
    if len(parts) < 2:
        return parts[0] if parts else EMPTY
    steps = np.concatenate([part.steps for part in parts])
    values = np.concatenate([part.values for part in parts])
    return in_order(steps, values)


def in_order(steps: Steps, values: Values) -> Column:
    """A column of points in any order. Of points with the same step the last one stays."""
    kept = rows_kept(steps)
    return Column(steps, values) if kept is None else Column(steps[kept], values[kept])


def rows_kept(steps: Steps | Values) -> Steps | None:
    """The positions that make ``steps`` strictly ascending, or None when they are so already.

    Of equal steps the one at the latest position is kept.
    """
    if bool(np.all(steps[1:] > steps[:-1])):
        return None
    order = np.argsort(steps, kind="stable")
    placed = steps[order]
    is_last = np.append(placed[1:] != placed[:-1], True)
    kept: Steps = order[is_last]
    return kept
