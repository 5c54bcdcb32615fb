"""The map of layers and modules: how strongly each cell is coloured."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from surgery.comparisons.findings import LEVELS, MEASURES, Entry

# How far a figure is from that of two models that are the same.
AWAY: Mapping[str, Callable[[float], float]] = {
    "relative": abs,
    "distance": abs,
    "cosine": lambda value: max(0.0, 1 - value),
    "norm_ratio": lambda value: abs(math.log(value)) if value > 0 else math.inf,
    "changed": abs,
}


@dataclass(frozen=True)
class Cell:
    """``level`` is from 0, the same in both models, to ``LEVELS``; None: nothing is there."""

    entry: Entry | None
    value: float | None = None
    level: int | None = None

    @property
    def title(self) -> str:
        """All its figures, for a hover."""
        known = self.entry.figures if self.entry else {}
        shown = [(label, known.get(name)) for name, label in MEASURES.items()]
        return ", ".join(f"{label} {value:.4g}" for label, value in shown if value is not None)


@dataclass(frozen=True)
class Row:
    layer: int | None
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Step:
    """A level of the legend: the smallest and the largest figure that it has in the map."""

    level: int
    low: float
    high: float


@dataclass(frozen=True)
class Heat:
    modules: Sequence[str]
    rows: Sequence[Row]
    legend: Sequence[Step]


def heat_of(cells: Sequence[Entry], measure: str) -> Heat:
    """The map of one measure. Levels are even steps of the logarithm of how far a figure is."""
    modules = list(dict.fromkeys(cell.module for cell in cells))
    layers = list(dict.fromkeys(cell.layer for cell in cells))
    levels = _levels([cell.figures[measure] for cell in cells], AWAY[measure])
    placed = {(cell.layer, cell.module): cell for cell in cells}

    def shown(entry: Entry | None) -> Cell:
        value = entry.figures[measure] if entry else None
        return Cell(entry, value, None if value is None else levels(AWAY[measure](value)))

    rows = [
        Row(layer, [shown(placed.get((layer, module))) for module in modules]) for layer in layers
    ]
    return Heat(modules, rows, _legend(rows))


def _levels(
    values: Sequence[float | None], away: Callable[[float], float]
) -> Callable[[float], int]:
    """The level of a distance from 0, among those of the map."""
    found = [away(value) for value in values if value is not None]
    known = [math.log(one) for one in found if 0 < one < math.inf]
    low, high = min(known, default=0.0), max(known, default=0.0)

    def level(distance: float) -> int:
        if distance <= 0:
            return 0
        if high == low or distance == math.inf:
            return LEVELS
        part = (math.log(distance) - low) / (high - low)
        return min(LEVELS, 1 + int(part * LEVELS))

    return level


def _legend(rows: Sequence[Row]) -> list[Step]:
    found: dict[int, list[float]] = {}
    for cell in (cell for row in rows for cell in row.cells):
        if cell.level is not None and cell.value is not None:
            found.setdefault(cell.level, []).append(cell.value)
    return [Step(level, min(found[level]), max(found[level])) for level in sorted(found)]
