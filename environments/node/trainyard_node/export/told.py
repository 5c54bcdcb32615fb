"""How far an export or other work on models is, told in the run directory as every run tells it.

Progress is counted in mebibytes: those of the shards that are read, and those that are written.
"""

import math
import os
import threading
import time
from pathlib import Path
from typing import Any

from trainyard_node.attempt import Attempt, Lines, record_event
from trainyard_node.events import EventName
from trainyard_node.record import RUN_DIR

MIB = 2**20
LINE_EVERY = 0.5  # seconds
LOOK_EVERY = 0.5


class Told:
    """Writes into the attempt's `events.jsonl` and `metrics.jsonl`; outside of a run, only to the
    log. `program` is the one of `trainyard_node` that tells, and the first part of its metrics."""

    def __init__(self, root: Path | None, program: str = "export") -> None:
        self._program = program
        attempt = Attempt(root) if root else None
        self._events = Lines(attempt.events) if attempt else None
        self._metrics = Lines(attempt.root / "metrics.jsonl") if attempt else None
        self._lock = threading.Lock()
        self._done = {"read": 0, "written": 0}
        self._total = 1
        self._line_at = 0.0

    @classmethod
    def of_this_run(cls, program: str = "export") -> "Told":
        directory = os.environ.get(RUN_DIR)
        return cls(Path(directory) if directory else None, program)

    def plan(self, read: int, written: int, at_most: bool = False) -> None:
        """Say how much there is to do, in bytes, beside what is done already."""
        done = sum(self._done.values())
        self._total = max(1, math.ceil((done + read + written) / MIB))
        size = f"at most {self._total}" if at_most else str(self._total)
        self.event("planned", f"{size} MiB to read and to write", steps=self._total)

    @property
    def bytes_written(self) -> int:
        return self._done["written"]

    def read(self, size: int) -> None:
        """So many more bytes of the inputs were read."""
        self._move(read=self._done["read"] + size)

    def written(self, size: int) -> None:
        """So many bytes of the result are written by now."""
        self._move(written=max(size, self._done["written"]))

    def finished(self) -> None:
        """The result is whole and in its place: all that was planned is done."""
        self._line(self._total)

    def event(self, kind: EventName, message: str, **details: Any) -> None:
        print(f"trainyard_node.{self._program}: {message}", flush=True)
        if self._events:
            record_event(self._events, kind, message, **details)

    def _move(self, **done: int) -> None:
        with self._lock:
            self._done |= done
            if time.monotonic() < self._line_at:
                return
            self._line_at = time.monotonic() + LINE_EVERY
        # The last mebibyte is told by `finished`, when the result is in its place.
        self._line(min(sum(self._done.values()) // MIB, self._total - 1))

    def _line(self, step: int) -> None:
        if self._metrics:
            data = {f"{self._program}/{name}_mib": size / MIB for name, size in self._done.items()}
            self._metrics.append({"step": step, "data": data})


class Growth(threading.Thread):
    """Tells the size of a folder while it is written; use it as a context manager."""

    def __init__(self, folder: Path, told: Told) -> None:
        super().__init__(name="growth", daemon=True)
        self._folder, self._told = folder, told
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            self._told.written(size_of(self._folder))

    def __enter__(self) -> "Growth":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()
        self._told.written(size_of(self._folder))


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder, without files that are removed meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
