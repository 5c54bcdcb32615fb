"""Score answers as they come, by a reward function in a process of its own.

It is called as a trial calls it (`trial.py`), and may fail in the same ways: it hangs, raises, dies
or returns nonsense. Then the answer has a problem and no score, and the next one is scored.
"""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainyard_node.rewards.trial import Child, Limits, ended_in_words, row_of

Answer = Mapping[str, Any]
LIMITS = Limits(call=60.0, load=300.0, total=float("inf"), memory_mb=16384)


class Unloadable(Exception):
    """The function cannot be loaded, or does not fit verl's call. The message is a sentence."""


class Scorer:
    """A reward function that is loaded once. Use it as a context manager.

    `path` is None for verl's own scorers by data source. Raises Unloadable.
    """

    def __init__(
        self, path: str | None, name: str, kwargs: Mapping[str, Any], limits: Limits = LIMITS
    ) -> None:
        self._job = {"path": path, "name": name, "kwargs": dict(kwargs), "start": 0,
                     "memory_mb": limits.memory_mb}  # fmt: skip
        self._limits = limits
        self._open = contextlib.ExitStack()
        self._child: Child | None = None
        self._lines = -1

    def __enter__(self) -> "Scorer":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def score(self, rows: Sequence[Answer]) -> list[dict[str, Any]]:
        """Of each a `score` with its `parts`, or None with a `problem`. Each row has data_source,
        solution_str, ground_truth and extra_info. Raises Unloadable where the function, after it
        ended its process, cannot be loaded again."""
        return [self._score(row) for row in rows]

    def _score(self, row: Answer) -> dict[str, Any]:
        if self._child is None:
            self._start()
        child = self._child
        assert child is not None
        with contextlib.suppress(BrokenPipeError):
            _write(self._lines, json.dumps(row, default=str).encode() + b"\n")
        begun = time.monotonic()
        while True:
            event = child.next_event(begun + self._limits.call)
            if event is None:
                problem = ended_in_words(child, self._limits.call)
                seconds = round(time.monotonic() - begun, 3)
                self._end()
                return {"score": None, "problem": problem, "seconds": seconds}
            if event["event"] == "scored":
                child.output.take()
                child.go_on()
                return row_of(event)

    def _start(self) -> None:
        """Load the function in a new process, which reads its rows from a pipe."""
        self._open = contextlib.ExitStack()
        folder = Path(tempfile.mkdtemp(prefix="reward-scorer-"))
        self._open.callback(shutil.rmtree, folder, ignore_errors=True)
        rows, self._lines = os.pipe()
        self._open.callback(os.close, self._lines)
        try:
            job = {**self._job, "rows": f"/dev/fd/{rows}"}
            self._child = self._open.enter_context(Child(job, folder, rows, is_only_one=False))
        finally:
            os.close(rows)
        event = self._child.next_event(time.monotonic() + self._limits.load)
        fault = _fault(event, self._child, self._limits.load)
        if fault:
            self._end()
            raise Unloadable(fault)

    def _end(self) -> None:
        self._child = None
        self._open.close()


def _fault(event: dict[str, Any] | None, child: Child, limit: float) -> str:
    """Why nothing can be scored; empty where the function is loaded and fits."""
    if event is None:
        return str(ended_in_words(child, limit)["message"])
    if event["event"] == "unloadable":
        return str(event["message"])
    return str(event.get("signature_problem") or "")


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
