"""Where the time of steps goes: the parts that a trainer measured, and what none of them holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.verl.timing import PREFIX, REST, STEP, Part, Work
from monitoring.series.column import EMPTY, Column, Steps, Values

WHOLE = f"{PREFIX}{STEP}"
WARM = 3  # steps, from which on the first is no usual one
SMALL = 0.02  # share of a step by which its parts may miss it: clocks are read one after the other
MUCH = 0.2  # share of the time that is worth a sentence


@dataclass(frozen=True)
class Layer:
    """Seconds of one part in each step; 0 where it was not logged."""

    part: Part
    seconds: Values

    @property
    def total(self) -> float:
        return float(self.seconds.sum())

    @property
    def mean(self) -> float:
        """Of a usual step: unlike medians, means add up."""
        return float(usual(self.seconds).mean())


@dataclass(frozen=True)
class StepTimes:
    """``whole`` is what each step took with what comes on top of it. ``layers`` add up to that, the
    last one being what no part holds, but for ``overlap`` seconds by which the parts are longer."""

    steps: Steps
    whole: Values
    layers: Sequence[Layer]
    overlap: float = 0.0

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def mean(self) -> float:
        return float(usual(self.whole).mean())

    @property
    def total(self) -> float:
        return float(self.whole.sum())

    def share(self, layer: Layer) -> float:
        return layer.mean / self.mean if self.mean else 0.0

    @property
    def is_overlapping(self) -> bool:
        return self.overlap > SMALL * self.total


@dataclass(frozen=True)
class Bound:
    """A sort of work and its share of the time."""

    work: Work
    share: float


def usual(values: Values) -> Values:
    """Without the first step, which holds what is made once, where there are enough others."""
    return values[1:] if len(values) >= WARM else values


def metrics_of(parts: Iterable[Part]) -> list[str]:
    """The metrics that are read."""
    return list(dict.fromkeys([WHOLE, *(part.metric for part in parts)]))


def step_times(parts: Sequence[Part], columns: Mapping[str, Column]) -> StepTimes | None:
    """The times of the steps that logged how long they took; None where no step did."""
    whole = columns.get(WHOLE, EMPTY)
    whole = Column(whole.steps[(ok := _is_time(whole.values))], whole.values[ok])
    if not len(whole):
        return None
    layers = [Layer(part, _on(whole.steps, columns.get(part.metric, EMPTY))) for part in parts]
    inside = _sum(whole, (layer for layer in layers if not layer.part.is_beside))
    beside = _sum(whole, (layer for layer in layers if layer.part.is_beside))
    rest = Layer(REST, np.maximum(whole.values - inside, 0.0))
    kept = [layer for layer in (*layers, rest) if layer.total > 0]
    overlap = float(np.maximum(inside - whole.values, 0.0).sum())
    return StepTimes(whole.steps, np.maximum(whole.values, inside) + beside, kept, overlap)


def bounds(times: StepTimes) -> list[Bound]:
    """The sorts of work by their share of the time, the largest first; of the others, those that
    take much."""
    shares: dict[Work, float] = {}
    for layer in times.layers:
        shares[layer.part.work] = shares.get(layer.part.work, 0.0) + times.share(layer)
    found = [Bound(work, share) for work, share in shares.items()]
    found.sort(key=lambda bound: bound.share, reverse=True)
    return [bound for at, bound in enumerate(found) if at == 0 or bound.share >= MUCH]


def thinned(times: StepTimes, most: int) -> StepTimes:
    """At most so many columns: each is the mean of neighbouring steps."""
    size = -(-len(times) // most)
    if size <= 1:
        return times
    starts = np.arange(0, len(times), size)
    counts = np.diff(np.append(starts, len(times)))

    def mean(values: Values) -> Values:
        return np.asarray(np.add.reduceat(values, starts) / counts, np.float64)

    layers = [Layer(layer.part, mean(layer.seconds)) for layer in times.layers]
    return StepTimes(times.steps[starts], mean(times.whole), layers, times.overlap)


def _on(steps: Steps, column: Column) -> Values:
    """The values of a column at these steps; 0 where it has none."""
    found = np.zeros(len(steps))
    at = np.searchsorted(steps, column.steps)
    inside = at < len(steps)
    is_there = np.zeros(len(column), bool)
    is_there[inside] = steps[at[inside]] == column.steps[inside]
    is_there &= _is_time(column.values)
    found[at[is_there]] = column.values[is_there]
    return found


def _is_time(values: Values) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(np.isfinite(values) & (values >= 0))


def _sum(whole: Column, layers: Iterable[Layer]) -> Values:
    total = np.zeros(len(whole))
    for layer in layers:
        total = total + layer.seconds
    return total
