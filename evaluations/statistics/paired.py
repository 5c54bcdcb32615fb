"""Two evaluations of the same prompts: what differs, how surely, and at which prompts."""

from dataclasses import dataclass

import numpy as np

from evaluations.statistics.figures import (
    LOSS,
    NONE_SAID,
    TASKS,
    Bools,
    Measure,
    Sides,
    measures,
)
from evaluations.statistics.resampling import Floats, Interval, Sums, interval, mean_of
from evaluations.statistics.scores import Ints, Scores, names_of, of_task

SAME = 1e-9  # differences that are smaller are none
TINY = 1e-12  # what sums of rounded numbers leave where nothing is left
NO_SIDE = "Nobody says whether more of it is better: what is called better here is more."


@dataclass(frozen=True)
class Difference:
    """How a figure of the second evaluation differs from that of the first, over the prompts that
    both know. ``interval`` is None of fewer than two prompts. Where nobody says which side is the
    better one, ``is_higher`` is None, and more counts as better."""

    name: str
    first: float
    second: float
    interval: Interval | None
    is_higher: bool | None
    prompts: int
    better: int
    worse: int
    note: str = ""

    @property
    def value(self) -> float:
        """The difference of the figure, as its interval has it."""
        return self.interval.value if self.interval else _still(self.second - self.first)

    @property
    def same(self) -> int:
        return self.prompts - self.better - self.worse

    @property
    def verdict(self) -> str:
        """Whether the second is ``better`` or ``worse``, or only ``more`` or ``less`` where nobody
        says which is better; or ``none``: no difference that shows."""
        if self.interval is None or self.interval.holds_zero:
            return "none"
        is_more = self.interval.low > 0
        if self.is_higher is None:
            return "more" if is_more else "less"
        return "better" if is_more == self.is_higher else "worse"

    @property
    def sentence(self) -> str:
        """What came of it, in words."""
        if self.interval is None:
            return "No difference is told: fewer than two prompts have scores in both."
        told = self.interval
        bounds = f"between {told.low:+.4g} and {told.high:+.4g}"
        if self.better == self.worse == 0:
            return f"No difference that shows: each of the {self.prompts} prompts scores the same."
        if self.verdict == "none":
            return f"No difference that shows: it lies {bounds}, which holds 0."
        return f"It is {self.verdict}: the difference is {told.value:+.4g}, {bounds}."


@dataclass(frozen=True)
class Paired:
    """``rows`` of both are the shared prompts in the order of the first; ``gains`` say how much
    better the second is at each, whatever side is the better one; NaN is not known."""

    first: Scores
    second: Scores
    differences: list[Difference]
    gains: Floats
    only_first: int
    only_second: int

    @property
    def shared(self) -> int:
        return len(self.first)


def paired(first: Scores, second: Scores, way: str, sides: Sides = NONE_SAID) -> Paired:
    """Compare by the prompts that both have. ``sides`` say of a figure whether more is better."""
    here, there = shared_places(first, second)
    one, two = first.at(here), second.at(there)
    before = measures(one, way, sides)
    after = {each.name: each for each in measures(two, way, sides)}
    both = [(each, after[each.name]) for each in before if each.name in after]
    differences = _differences(both, way)
    gains = _gains(both, way) if both else np.full(len(one), np.nan)
    return Paired(one, two, differences, gains, len(first) - len(here), len(second) - len(there))


def difference_in(
    name: str, first: Scores, second: Scores, way: str, sides: Sides = NONE_SAID
) -> Difference | None:
    """How one figure differs; None where it is not known of both. It costs what that figure does,
    however many others there are."""
    if way == TASKS:
        first, second = of_task(first, name), of_task(second, name)
    here, there = shared_places(first, second)
    one, two = first.at(here), second.at(there)
    after = {each.name: each for each in measures(two, way, sides)}
    before = [each for each in measures(one, way, sides) if each.name == name in after]
    return next(iter(_differences([(each, after[name]) for each in before], way)), None)


def shared_places(first: Scores, second: Scores) -> tuple[Ints, Ints]:
    """The rows of both that are of the same prompt, in the order of the first."""
    _, here, there = np.intersect1d(
        names_of(first), names_of(second), assume_unique=True, return_indices=True
    )
    order = np.argsort(here, kind="stable")
    return here[order].astype(np.int64), there[order].astype(np.int64)


def _differences(both: list[tuple[Measure, Measure]], way: str) -> list[Difference]:
    found = []
    for before, after in both:
        there = before.known & after.known
        if not there.any():
            continue
        sums, note = _of_both(before, after, there, way)
        note = NO_SIDE if before.is_higher is None else note
        gain = _gain(before, after)[there]
        found.append(
            Difference(
                before.name, _value(before, there), _value(after, there),
                _interval(sums), before.is_higher, int(there.sum()),
                int((gain > SAME).sum()), int((gain < -SAME).sum()), note,
            )
        )  # fmt: skip
    return found


def _interval(sums: Sums) -> Interval | None:
    found = interval(sums)
    return found and Interval(_still(found.value), _still(found.low), _still(found.high))


def _still(value: float) -> float:
    return 0.0 if abs(value) < TINY else value


def _of_both(before: Measure, after: Measure, there: Bools, way: str) -> tuple[Sums, str]:
    """The difference as a ratio of sums, and what must be said of it."""
    if way != LOSS:
        apart = after.each[there] - before.each[there]
        widest = float(np.abs(apart).max())
        return mean_of(apart, (-widest, widest)), ""
    if np.array_equal(before.weights[there], after.weights[there]):
        return Sums((after.values - before.values)[there], before.weights[there]), ""
    note = "The models cut the texts into other tokens: the difference is of a prompt's mean loss."
    return mean_of((after.each - before.each)[there]), note


def _value(measure: Measure, there: Bools) -> float:
    return float(measure.values[there].sum() / measure.weights[there].sum())


def _gain(before: Measure, after: Measure) -> Floats:
    gain: Floats = after.each - before.each
    gain = np.where(np.abs(gain) < TINY, 0.0, gain)
    return 0.0 - gain if before.is_higher is False else gain


def _gains(both: list[tuple[Measure, Measure]], way: str) -> Floats:
    """By the first figure; of tasks, each document by that of its own task."""
    gains = _gain(*both[0])
    for pair in both[1:] if way == TASKS else ():
        gains = np.where(np.isnan(gains), _gain(*pair), gains)
    return gains
