"""Reads the first stretch of many files in one round trip, and serves it to readers one by one."""

from collections.abc import Sequence
from typing import Protocol

from compute.runners.base import Runner, RunnerError, Stretch, Unreachable


class Reader(Protocol):
    """What can read a stretch of a file."""

    def read(self, path: str, offset: int, limit: int) -> bytes:
        """As ``Runner.read``."""


class ReadAhead:
    """Reads ``stretches`` at once, in their order; anything else is asked of the runner.

    A stretch that came back shorter than its limit ends where its file ended at that moment: what
    was written later is seen by the next reader, not by this one. Where one of them cannot be read,
    each is asked for by itself: a file of one run does not keep those of others out. Raises
    ``Unreachable``.
    """

    def __init__(self, runner: Runner, stretches: Sequence[Stretch]) -> None:
        self._runner = runner
        self._known: dict[str, tuple[int, bytes, bool]] = {}
        try:
            found = runner.read_many(stretches)
        except Unreachable:
            raise
        except RunnerError:
            return
        self._known = {
            part.path: (part.offset, data, len(data) < part.limit)
            for part, data in zip(stretches, found, strict=True)
        }

    def read(self, path: str, offset: int, limit: int) -> bytes:
        begin, data, is_whole = self._known.get(path, (0, b"", False))
        at = offset - begin
        if 0 <= at <= len(data) and (is_whole or len(data) - at >= limit):
            return data[at : at + limit]
        return self._runner.read(path, offset, limit)
