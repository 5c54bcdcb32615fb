"""The shapes of a chart of stacked step times, and of the bars in its table: numbers only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.series.column import Values
from monitoring.timing.steps import Layer, StepTimes

WIDTH, HEIGHT = 1000, 160  # of the chart's own coordinates


@dataclass(frozen=True)
class Shape:
    """The area of one part: ``path`` as SVG spells it."""

    layer: Layer
    path: str


@dataclass(frozen=True)
class Bar:
    """One part in a usual step: it ``begins`` after so much of a hundred, and is so ``long``."""

    layer: Layer
    share: float
    begins: float
    long: float


def shapes(times: StepTimes, highest: float) -> list[Shape]:
    """The parts on top of each other, each step a column, up to ``highest`` seconds."""
    edges = np.linspace(0, WIDTH, len(times) + 1)
    floor = np.zeros(len(times))
    drawn = []
    for layer in times.layers:
        top = floor + layer.seconds
        drawn.append(Shape(layer, _path(edges, _down(floor, highest), _down(top, highest))))
        floor = top
    return drawn


def bars(times: StepTimes) -> Iterator[Bar]:
    """The parts one after the other, as a usual step goes."""
    begins = 0.0
    for layer in times.layers:
        long = 100 * times.share(layer)
        yield Bar(layer, times.share(layer), round(begins, 2), round(long, 2))
        begins += long


def highest_of(columns: Sequence[StepTimes]) -> float:
    """The top of the scale for charts that are compared."""
    return max((float(times.whole.max()) for times in columns if len(times)), default=1.0) or 1.0


def _down(seconds: Values, highest: float) -> Values:
    """How far below the upper edge, which SVG counts from."""
    return np.asarray(HEIGHT * (1 - np.minimum(seconds / highest, 1.0)), np.float64)


def _path(edges: Values, low: Values, high: Values) -> str:
    there = "".join(f"V{y:.1f}H{x:.1f}" for y, x in zip(high, edges[1:], strict=True))
    back = "".join(f"V{y:.1f}H{x:.1f}" for y, x in zip(low[::-1], edges[:-1][::-1], strict=True))
    return f"M0 {low[0]:.1f}{there}{back}Z"
