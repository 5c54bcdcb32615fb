"""How far an evaluation is: prompts that are done, in the metrics and events of its run."""

import time
from pathlib import Path
from typing import Any

from trainyard_node.attempt import Lines
from trainyard_node.export.told import Told

EVERY = 0.5  # seconds between two lines
LARGEST = 48_000  # characters of the metrics that an event tells; its line has 64 KiB


class Progress:
    """Counts prompts. `root` is the run directory, or the folder of the result outside of one."""

    def __init__(self, told: Told, root: Path, total: int) -> None:
        self._told, self._total, self._done = told, total, 0
        self._lines = Lines(root / "metrics.jsonl")
        self._at = 0.0

    def plan(self, what: str) -> None:
        self._told.event("planned", what, steps=self._total)

    def move(self, done: int, means: dict[str, float | None]) -> None:
        """So many prompts are done, and these are the means so far."""
        if done > self._done and time.monotonic() >= self._at:
            self._done = done
            self._at = time.monotonic() + EVERY
            # The last prompt is told by `end`, when the result is there.
            self._line(min(done, self._total - 1), means)

    def end(self, metrics: dict[str, float | None]) -> None:
        """The result is there: these are the final figures."""
        self._line(self._total, metrics)

    def _line(self, step: int, means: dict[str, float | None]) -> None:
        data = {name: value for name, value in means.items() if value is not None}
        self._lines.append({"step": max(0, step), "data": data})


def tell_result(told: Told, result: dict[str, Any], message: str) -> None:
    """Tell all of a result that a line of events has room for."""
    shown = {**result, "metrics": _first(result["metrics"], LARGEST)}
    # The sides of many figures, and what the digest is of (a template): the report alone has them.
    shown.pop("higher_is_better", None)
    shown["evaluator"] = {k: v for k, v in result["evaluator"].items() if k != "of"}
    left = len(result["metrics"]) - len(shown["metrics"])
    if left:
        shown["left_out"] = [*result["left_out"], f"{left} metrics are in the report alone."]
    told.event("evaluated", message, **shown)


def _first(metrics: dict[str, Any], room: int) -> dict[str, Any]:
    kept = {}
    for name, value in metrics.items():
        room -= len(name) + 32
        if room < 0:
            break
        kept[name] = value
    return kept
