"""Series beside each other: a row for each step, a column for each series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.series.column import EMPTY, Column, Steps, Values


@dataclass(frozen=True)
class Table:
    """``there[name]`` says at which of the steps a series has a point: its value may be NaN."""

    steps: Steps
    values: Mapping[str, Values]
    there: Mapping[str, np.ndarray]


def table_of(columns: Mapping[str, Column], names: Sequence[str]) -> Table:
    """The steps of all of them together, in order."""
    found = {name: columns.get(name, EMPTY) for name in names}
    parts = [column.steps for column in found.values()]
    steps = np.unique(np.concatenate(parts)) if parts else EMPTY.steps
    values, there = dict[str, Values](), dict[str, np.ndarray]()
    for name, column in found.items():
        at = np.searchsorted(steps, column.steps)
        values[name] = np.full(len(steps), np.nan)
        values[name][at] = column.values
        there[name] = np.zeros(len(steps), dtype=bool)
        there[name][at] = True
    return Table(steps, values, there)
