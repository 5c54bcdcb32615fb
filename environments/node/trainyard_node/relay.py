"""Relay the files of an attempt directory, part by part, to a stream that others can read."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trainyard_node.attempt import Attempt
from trainyard_node.frames import LONGEST, Frame

GROWING = ("train.log", "events.jsonl", "system.jsonl", "metrics.jsonl", "provenance.jsonl")
GROWING_IN = ("rollouts", "validation")
# Reports, which are written anew as a whole: they are sent once the run has ended.
REPORTS_IN = ("evaluation", "comparison")
REPLACED = ("run.sh", "pid", "heartbeat", "checkpoints/latest_checkpointed_iteration.txt")
VERDICT = "exit_code"
EVENTS = "events.jsonl"
# The files below checkpoints/ are too large to send; a list of names, sizes and times is sent.
LISTING = "checkpoints.json"
ENDED = "ended"
MOST_REPLACED = 1 << 20  # bytes
MOST_LISTED = 20_000
MOST_LISTING = 4 << 20  # bytes
LIST_EVERY = 5.0  # seconds; a save keeps changing sizes, and a walk over a network disk is slow


@dataclass(frozen=True)
class Facts:
    size: int
    modified: float


class Relay:
    """Passes frames to `tell`, so that the beginning of each file comes first.

    `tell` may raise OSError, as on a full disk; a frame that it did not accept is sent again.
    """

    def __init__(self, attempt: Attempt, tell: Callable[[Frame], None]) -> None:
        self._root, self._tell = attempt.root, tell
        self._told: dict[str, int] = {}
        self._last: dict[str, bytes] = {}
        self._list_at = 0.0

    def look(self, *, last: bool = False) -> bool:
        """Send everything new; return False if that failed. The `last` look reads each file to its
        end.

        The exit code is read before the other files but sent last: whoever sees it has all that was
        written before it.
        """
        try:
            self._look(last)
        except OSError:
            return False
        return True

    def _look(self, last: bool) -> None:
        verdict = self._read_whole(VERDICT)
        names = [*self._growing(), *(self._in(REPORTS_IN) if last or verdict else ())]
        growing = [(name, facts) for name in names if (facts := self._facts(name))]
        events = next((facts.size for name, facts in growing if name == EVENTS), 0)
        # Send the listing before an event that reports another checkpoint.
        if last or events > self._told.get(EVENTS, 0) or time.monotonic() >= self._list_at:
            self._tell_listing()
        for name in REPLACED:
            self._tell_whole(name, self._read_whole(name))
        for name, facts in growing:
            if last or name not in self._told or facts.size > self._told[name]:
                self._tell_growth(name)
        self._tell_whole(VERDICT, verdict)

    def end(self, code: int) -> None:
        """Send the end mark; without it, the sent files may be incomplete. Raises OSError."""
        self._tell(Frame(ENDED, 0, f"{code}\n".encode(), time.time(), is_whole=True))

    def _growing(self) -> Iterator[str]:
        yield from GROWING
        yield from (name for name in self._in(GROWING_IN) if name.endswith(".jsonl"))

    def _in(self, folders: Iterable[str]) -> Iterator[str]:
        for folder in folders:
            try:
                names = os.listdir(self._root / folder)
            except OSError:
                continue
            # Hidden files are in the making, or the listener's own.
            yield from sorted(f"{folder}/{name}" for name in names if not name.startswith("."))

    def _facts(self, name: str) -> Facts | None:
        try:
            found = (self._root / name).stat()
        except OSError:
            return None
        return Facts(found.st_size, found.st_mtime)

    def _tell_growth(self, name: str) -> None:
        """Send up to the size of the opened file: a network disk may show an older size before."""
        path = self._root / name
        try:
            if not path.is_file():  # a pipe in its place would be waited for
                return
            file = path.open("rb")
        except OSError:
            return  # the next look tries again
        with file:
            at = self._told.setdefault(name, 0)
            facts = os.fstat(file.fileno())
            file.seek(at)
            while at < facts.st_size and (data := _read(file, min(LONGEST, facts.st_size - at))):
                self._tell(Frame(name, at, data, facts.st_mtime))
                at = self._told[name] = at + len(data)

    def _read_whole(self, name: str) -> bytes | None:
        path = self._root / name
        try:
            if not path.is_file():
                return None
            with path.open("rb") as file:
                return file.read(MOST_REPLACED)
        except OSError:
            return None

    def _tell_whole(self, name: str, data: bytes | None) -> None:
        facts = self._facts(name)
        if data is not None and facts and self._last.get(name) != data:
            self._tell(Frame(name, 0, data, facts.modified, is_whole=True))
            self._last[name] = data

    def _tell_listing(self) -> None:
        data = listing_of(files_below(self._root / "checkpoints"))
        if self._last.get(LISTING, b"[]") != data:
            self._tell(Frame(LISTING, 0, data, time.time(), is_whole=True))
            self._last[LISTING] = data
        self._list_at = time.monotonic() + LIST_EVERY


def _read(file: BinaryIO, count: int) -> bytes:
    try:
        return file.read(count)
    except OSError:  # only this file fails; the others are still sent
        return b""


def listing_of(files: Iterable[tuple[str, int, float]]) -> bytes:
    """Names, sizes and times as JSON, sorted by name; only the newest if there are too many."""
    kept = sorted(files, key=lambda file: file[2])[-MOST_LISTED:]
    while len(data := json.dumps(sorted(kept)).encode()) > MOST_LISTING:
        kept = kept[len(kept) // 2 :]
    return data


def files_below(folder: Path) -> Iterator[tuple[str, int, float]]:
    """Relative path, bytes and change time (epoch seconds) of each file that can be read."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                facts = path.stat()
            except OSError:
                continue
            yield str(path.relative_to(folder)), facts.st_size, facts.st_mtime
