"""Tells of what is written in an attempt directory, line by line, on a stream that others see."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainyard_node.attempt import Attempt
from trainyard_node.frames import LONGEST, Frame

GROWING = ("train.log", "events.jsonl", "system.jsonl", "metrics.jsonl")
GROWING_IN = ("rollouts", "validation")
REPLACED = ("run.sh", "pid", "heartbeat", "checkpoints/latest_checkpointed_iteration.txt")
VERDICT = "exit_code"
# What lies below checkpoints/ is too large to be told; its names, sizes and times are.
LISTING = "checkpoints.json"
ENDED = "ended"
MOST_REPLACED = 1 << 20  # bytes
MOST_LISTED = 20_000


@dataclass(frozen=True)
class Facts:
    size: int
    modified: float


class Relay:
    """Hands each frame to `tell`, in an order in which every file's beginning comes first."""

    def __init__(self, attempt: Attempt, tell: Callable[[Frame], None]) -> None:
        self._root, self._tell = attempt.root, tell
        self._told: dict[str, int] = {}
        self._last: dict[str, bytes] = {}

    def look(self) -> None:
        """Tell all that is new. The verdict was there before the rest was read, so it comes last:
        whoever sees it has everything that was written before it."""
        verdict = self._read_whole(VERDICT)
        growing = [(name, facts) for name in self._growing() if (facts := self._facts(name))]
        self._tell_listing()  # before the event that says that there is another checkpoint
        for name in REPLACED:
            self._tell_whole(name, self._read_whole(name))
        for name, facts in growing:
            self._tell_growth(name, facts)
        self._tell_whole(VERDICT, verdict)

    def end(self, code: int) -> None:
        """Say that nothing follows; without it, what was told may not be all."""
        self._tell(Frame(ENDED, 0, f"{code}\n".encode(), time.time(), is_whole=True))

    def _growing(self) -> Iterator[str]:
        yield from GROWING
        for folder in GROWING_IN:
            try:
                names = os.listdir(self._root / folder)
            except OSError:
                continue
            yield from sorted(f"{folder}/{name}" for name in names if name.endswith(".jsonl"))

    def _facts(self, name: str) -> Facts | None:
        try:
            found = (self._root / name).stat()
        except OSError:
            return None
        return Facts(found.st_size, found.st_mtime)

    def _tell_growth(self, name: str, facts: Facts) -> None:
        at = self._told.get(name, 0)
        if at >= facts.size and name in self._told:
            return
        try:
            with (self._root / name).open("rb") as file:
                file.seek(at)
                while at < facts.size and (data := file.read(min(LONGEST, facts.size - at))):
                    self._tell(Frame(name, at, data, facts.modified))
                    at += len(data)
        except OSError:
            return  # it is looked for again
        self._told[name] = at

    def _read_whole(self, name: str) -> bytes | None:
        try:
            with (self._root / name).open("rb") as file:
                return file.read(MOST_REPLACED)
        except OSError:
            return None

    def _tell_whole(self, name: str, data: bytes | None) -> None:
        facts = self._facts(name)
        if data is not None and facts and self._last.get(name) != data:
            self._tell(Frame(name, 0, data, facts.modified, is_whole=True))
            self._last[name] = data

    def _tell_listing(self) -> None:
        folder = self._root / "checkpoints"
        files = sorted(_files(folder))[:MOST_LISTED]
        if not files and LISTING not in self._last:
            return
        data = json.dumps(files).encode()
        if self._last.get(LISTING) != data:
            self._last[LISTING] = data
            newest = max((modified for _, _, modified in files), default=0.0)
            self._tell(Frame(LISTING, 0, data, newest, is_whole=True))


def _files(folder: Path) -> Iterator[tuple[str, int, float]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                facts = path.stat()
            except OSError:
                continue
            yield str(path.relative_to(folder)), facts.st_size, facts.st_mtime
