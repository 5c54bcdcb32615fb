"""The greedy soup of checkpoints: makes each average in turn, has it scored, and tells of it."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainyard_node.average import greedy
from trainyard_node.average.scoring import MODEL, Score, check_reads, folder_of
from trainyard_node.average.spec import Average, Checkpoint
from trainyard_node.export.place import empty, held_alone
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told
from trainyard_node.merge.merging import Plan, Progress, check, merge, plan
from trainyard_node.merge.program import Teller
from trainyard_node.merge.recipe import read_recipe

KEPT, LEFT_OUT, TRYING, WAITING = "kept", "left_out", "trying", "waiting"
Row = dict[str, Any]


def chosen(average: Average, target: Path, told: Told) -> Average:
    """The average of those that are kept, with what was found of each. Raises Refused."""
    assert average.score
    folder = folder_of(target)
    check(plan_of(average), target)
    check_reads(average.score, folder)
    with held_alone(folder):
        trials = Trials(average, average.score, folder, told)
        found = trials.all()
    kept = [each.checkpoint for each in found if each.is_kept]
    return replace(average.of(kept), found=tuple(trials.rows))


def plan_of(average: Average) -> Plan:
    """Raises Refused."""
    return plan(read_recipe(average.recipe()))


class Trials:
    """`rows` say of each candidate what is known of it, in the order in which they are tried once
    that is known."""

    def __init__(self, average: Average, score: Score, folder: Path, told: Told) -> None:
        self._average, self._score, self._folder, self._told = average, score, folder, told
        self._known: dict[tuple[Checkpoint, ...], float] = {}
        self.rows: list[Row] = [self._row(each) for each in average.chosen]

    def all(self) -> list[greedy.Tried]:
        candidates = self._average.chosen
        has_values = all(each.value is not None for each in candidates)
        self._plan(alone=not has_values)
        if has_values:
            ordered = greedy.by_value(candidates, self._average.higher_is_better)
        else:
            ordered = greedy.by_score(candidates, self._scored_alone)
        place = {each.step: nr for nr, each in enumerate(ordered)}
        self.rows.sort(key=lambda row: place[row["step"]])
        found = []
        trials = greedy.tried(ordered, self._scored)
        for row in self.rows:
            self._begin(row)
            began = time.monotonic()
            found.append(next(trials))
            self._end(row, found[-1], time.monotonic() - began)
        return found

    def _scored(self, checkpoints: Sequence[Checkpoint]) -> float:
        """The score of their plain mean, which is made for it and removed again."""
        key = tuple(checkpoints)
        if key not in self._known:
            made = plan_of(self._average.of(checkpoints))
            merge(made, self._folder / MODEL, Progress(tell=Teller(self._told)))
            try:
                self._known[key] = self._score.measured(self._folder)
            except Refused as error:
                steps = ", ".join(str(each.step) for each in checkpoints)
                raise Refused(f"The average of step {steps}: {error}") from error
            empty(self._folder)
        return self._known[key]

    def _scored_alone(self, checkpoints: Sequence[Checkpoint]) -> float:
        step = checkpoints[0].step
        row = next(row for row in self.rows if row["step"] == step)
        row["state"] = TRYING
        self._tell(f"Step {step} is scored alone")
        found = self._scored(checkpoints)
        row["state"], row["alone"] = WAITING, found if math.isfinite(found) else None
        self._tell(f"Step {step} alone: {self._score.metric} {found:.6g}")
        return found

    def _plan(self, alone: bool) -> None:
        """As if all were kept; what is made in the end is planned once it is known."""
        candidates = self._average.chosen
        whole, count = plan_of(self._average), len(candidates)
        models = count * (count + 1) // 2 + (count if alone else 0)
        times = 2 * count if alone else count
        self._told.plan(whole.bytes_in * models // count, whole.bytes_out * times, at_most=True)

    def _row(self, each: Checkpoint) -> Row:
        row: Row = {"step": each.step, "path": str(each.path), "state": WAITING}
        return row if each.value is None else {**row, "value": each.value}

    def _begin(self, row: Row) -> None:
        row["state"] = TRYING
        self._tell(f"{self._which(row)} is tried")

    def _end(self, row: Row, found: greedy.Tried, seconds: float) -> None:
        row["state"] = KEPT if found.is_kept else LEFT_OUT
        row["score"] = found.score if math.isfinite(found.score) else None
        row["seconds"] = round(seconds, 1)
        word = "kept" if found.is_kept else "left out"
        self._tell(f"{self._which(row)}: {self._score.metric} {found.score:.6g}, {word}")

    def _which(self, row: Row) -> str:
        return f"Candidate {self.rows.index(row) + 1} of {len(self.rows)}, step {row['step']}"

    def _tell(self, message: str) -> None:
        self._told.event("tried", message, metric=self._score.metric, candidates=self.rows)
