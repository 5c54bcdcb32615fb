"""What was found of a run that another tool recorded, and what of it had to be left out."""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from compute.runners.text import readable
from monitoring.series.column import EMPTY, Column, in_order
from monitoring.series.frame import Frame, columns

NAME_LENGTH = 200
MOST_NAMES = 20_000
LAST_STEP = 2**31  # exclusive
Tell = Callable[[int], object]  # is told how many bytes were read since it was last told

COMPLETED, FAILED, UNKNOWN = "completed", "failed", ""


@dataclass(slots=True)
class Points:
    """The points of one series in the order in which they were read."""

    steps: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    @property
    def column(self) -> Column:
        steps = np.frombuffer(self.steps, np.int64)
        return in_order(steps, np.frombuffer(self.values, np.float64))


@dataclass
class Run:
    """One run. ``left_out`` counts by words in which ``{}`` stands for the number, and ``{s}`` for
    the ending of several."""

    name: str = ""
    tool: str = ""
    series: dict[str, Points] = field(default_factory=dict)
    frames: list[Frame[str]] = field(default_factory=list)  # read as such
    times: dict[int, float] = field(default_factory=dict)  # epoch seconds of each step
    config: dict[str, Any] = field(default_factory=dict)
    status: str = UNKNOWN
    log: Path | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def points(self, name: str) -> Points | None:
        """Those of a series, made when it is new; None where there are too many already."""
        name = readable(name)[:NAME_LENGTH]
        found = self.series.get(name)
        if found is None and name and len(self.series) < MOST_NAMES:
            found = self.series[name] = Points()
        if found is None:
            self.left_out[MANY_NAMES] += 1
        return found

    def add(self, name: str, step: Any, value: Any) -> None:
        """A point as another tool wrote it, which may be anything."""
        at, number = as_step(step), as_number(value)
        if at is None:
            self.left_out[NO_STEP] += 1
        elif number is None:
            self.left_out[NO_NUMBER] += 1
        elif points := self.points(name):
            points.steps.append(at)
            points.values.append(number)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The points of each series; of two at one step the one that was written later stays."""
        found = {name: points.column for name, points in self.series.items() if points.steps}
        return found | columns(self.frames)

    @property
    def clock(self) -> Column:
        known = {step: at for step, at in self.times.items() if 0 <= at < LAST_TIME}
        if not known:
            return EMPTY
        return in_order(np.array(list(known), np.int64), np.array(list(known.values()), np.float64))


NO_STEP = "{} value{s} without a step that is a whole number from 0 to 2,147,483,647"
NO_NUMBER = "{} value{s} other than a number"
MANY_NAMES = f"{{}} value{{s}} of further metrics: a run keeps {MOST_NAMES:,}"
BROKEN_LINES = "{} line{s} that cannot be read"
BROKEN_RECORDS = "{} record{s} that cannot be read"
CUT_OFF = "the end of {} file{s} that came cut off"
LAST_TIME = 2.0**33  # epoch seconds, in the year 2242


def as_step(step: Any) -> int | None:
    if type(step) is not int:
        number = as_number(step)
        if number is None or not number.is_integer():
            return None
        step = int(number)
    return step if 0 <= step < LAST_STEP else None


def as_number(value: Any) -> float | None:
    """A number, also NaN and infinite ones, which tools write as text; None is NaN, as verl writes
    it. For anything else None."""
    if value is None:
        return math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return SPELT.get(value.lower()) if isinstance(value, str) else None


SPELT = {
    "nan": math.nan, "inf": math.inf, "infinity": math.inf, "+inf": math.inf, "-inf": -math.inf,
    "-infinity": -math.inf,
}  # fmt: skip


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """A tree of settings by dotted names, as Hydra writes them."""
    found: dict[str, Any] = {}
    for key, value in config.items() if isinstance(config, dict) else ():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and len(prefix) < NAME_LENGTH:
            found |= flat(value, f"{name}.")
        else:
            found[name] = value
    return found


def sentences(left_out: Iterable[tuple[str, int]]) -> list[str]:
    return [
        f"Left out: {words.format(f'{count:,}', s='' if count == 1 else 's')}."
        for words, count in left_out
        if count
    ]
