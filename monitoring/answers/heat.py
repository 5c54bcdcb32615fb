"""How a figure of the answers is spread over the steps of a run, as a map of heat: a column for a
step, or for some beside each other, and in it how many answers lie at each level."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.answers.step import Floats, Ints

MOST_COLUMNS, LEVELS = 60, 12
WIDTH, HEIGHT = 10, 8  # of a cell, in the units of the drawing
FAINTEST = 0.15  # shade of a cell with one answer


@dataclass(frozen=True)
class Cell:
    """So many of a column's answers lie between two bounds."""

    top: int
    count: int
    low: float
    high: float
    shade: str


@dataclass(frozen=True)
class Column:
    """The step that it leads to, the last one that it counts, and its answers' mean."""

    left: int
    step: int
    last: int
    mean: float | None
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Map:
    """A figure from its lowest to its highest."""

    name: str
    low: float
    high: float
    columns: Sequence[Column]

    @property
    def width(self) -> int:
        return WIDTH * len(self.columns)

    @property
    def height(self) -> int:
        return HEIGHT * LEVELS

    @property
    def line(self) -> str:
        """The means as the points of a line. Where all is the same it lies at the bottom."""
        span = self.high - self.low or 1.0
        return " ".join(
            f"{column.left + WIDTH / 2:g},{self.height * (1 - (column.mean - self.low) / span):.1f}"
            for column in self.columns
            if column.mean is not None
        )


def map_of(name: str, steps: Sequence[tuple[int, Floats | Ints]]) -> Map | None:
    """None where there is nothing that can be counted."""
    values = [(step, counted(each.astype(np.float64))) for step, each in steps]
    every = [each for _, each in values if len(each)]
    if not every:
        return None
    low = min(float(each.min()) for each in every)
    high = max(float(each.max()) for each in every)
    if not np.isfinite(high - low):  # beyond what a float holds
        return None
    group = -(-len(values) // MOST_COLUMNS)
    edges = np.linspace(low, high, LEVELS + 1)
    return Map(
        name, low, high,
        [_column(at, values[at : at + group], edges, group) for at in range(0, len(values), group)],
    )  # fmt: skip


def counted(values: Floats) -> Floats:
    return values[np.isfinite(values)]


def _column(at: int, part: Sequence[tuple[int, Floats]], edges: Floats, group: int) -> Column:
    values = np.concatenate([each for _, each in part])
    mean = float(values.mean()) if len(values) else None
    return Column(WIDTH * (at // group), part[0][0], part[-1][0], mean, _cells(values, edges))


def _cells(values: Floats, edges: Floats) -> list[Cell]:
    """From the lowest level up. Where all values are the same they are in the lowest."""
    if edges[0] == edges[-1]:
        counts = np.zeros(LEVELS, np.int64)
        counts[0] = len(values)
    else:
        counts = np.histogram(values, edges)[0]
    total, bounds = max(1, len(values)), edges.tolist()
    return [
        Cell(
            top=HEIGHT * (LEVELS - 1 - level),
            count=count,
            low=bounds[level],
            high=bounds[level + 1],
            shade=f"{FAINTEST + (1 - FAINTEST) * (count / total) ** 0.5:.2f}",
        )
        for level, count in enumerate(counts.tolist())
        if count
    ]
