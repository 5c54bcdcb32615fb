"""What a chart may have on its x-axis in place of the steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.models import Job
from jobs.verl.key_metrics import TOKENS
from monitoring.series.column import EMPTY, Column, Steps
from monitoring.store import points

TIME, OF_TOKENS, METRIC = "time", "tokens", "metric:"  # and its name


@dataclass(frozen=True)
class Axis:
    """``column`` has the place of each step. With ``lasting`` a step in between has that of the one
    before it. ``sums`` names the metric whose values are added up, if they are."""

    column: Column
    lasting: bool
    sums: str = ""

    def placed(self, steps: Steps) -> list[tuple[int, float]]:
        """The places of the steps that have one."""
        at = np.searchsorted(self.column.steps, steps, side="right") - 1
        known = at >= 0
        if not self.lasting:
            known[known] = self.column.steps[at[known]] == steps[known]
        places = self.column.values[at[known]]
        finite = np.isfinite(places)
        return list(zip(steps[known][finite].tolist(), places[finite].tolist(), strict=True))

    def shown(self, steps: Steps) -> dict[str, Any]:
        first = float(self.column.values[0]) if len(self.column) else None
        return {"places": self.placed(steps), "first": first, "sums": self.sums}


def axis_of(job: Job, asked: str) -> Axis:
    """The axis that an address asks for; an empty one where the run has no such figures."""
    if asked == TIME:
        return Axis(points.times(job), lasting=True)
    if asked == OF_TOKENS:
        return _tokens(job)
    name = asked.removeprefix(METRIC).replace("\0", "")
    found = points.window(job, [name]).get(name)
    return Axis(found.column if found else EMPTY, lasting=False)


def _tokens(job: Job) -> Axis:
    """All the tokens up to a step."""
    found = points.window(job, TOKENS)
    name = next((name for name in TOKENS if name in found), "")
    if not name:
        return Axis(EMPTY, lasting=True)
    column = found[name].column
    known = np.where(np.isfinite(column.values), column.values, 0.0)
    return Axis(Column(column.steps, np.cumsum(known)), lasting=True, sums=name)
