"""Follows the logs of running jobs, one connection each, and fills their spools."""

import fcntl
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidURI,
)
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from compute.runners.base import RunnerError
from compute.runners.cluster.api import CONNECT_WITHIN, RayApi
from compute.runners.cluster.frames import read_frame
from compute.runners.cluster.spool import KNOWN, LOCK, Spool

MOST_AT_ONCE = 16 << 20  # bytes of one message; Ray sends ten lines in one
LONGEST_LINE = 4 << 20  # characters
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
SILENT = 60.0  # seconds
LOOKS_AGAIN = 1  # at the log of an ended job that did not say its last word
CUT = (ConnectionClosed, InvalidHandshake, InvalidURI, OSError, TimeoutError)
log = logging.getLogger(__name__)

_threads: dict[Path, threading.Thread] = {}
_lock = threading.Lock()


def follow(api: RayApi, job: str, spool: Spool) -> None:
    """See that somebody follows the job, and return at once. One process does, of all."""
    with _lock:
        thread = _threads.get(spool.folder)
        if (thread and thread.is_alive()) or spool.over is not None:
            return
        tail = Tail(api, job, spool)
        thread = threading.Thread(target=tail.run, name=f"tail {job}", daemon=True)
        _threads[spool.folder] = thread
        thread.start()


class Tail:
    """A log is told from its beginning at each connection; the spool takes what is new."""

    def __init__(self, api: RayApi, job: str, spool: Spool) -> None:
        self.api, self.job, self.spool = api, job, spool
        self._came = False  # anything at all in this connection
        self._said = ""

    def run(self) -> None:
        self.spool.folder.mkdir(parents=True, exist_ok=True)
        with (self.spool.folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(1)  # another process does it; should it end, this is asked again
                return
            self._follow()

    def _follow(self) -> None:
        pause, looks = FIRST_PAUSE, 0
        while self.spool.over is None:
            self._came = False
            try:
                if not self._has_begun():
                    time.sleep(1)  # before its launch, runs are looked at too
                    return
                self._stream()
                if self._is_over():
                    looks += 1
                    if self.spool.has_all or looks > LOOKS_AGAIN:
                        self._close()
                        return
                    self._came = True
            except (RunnerError, ValueError, *CUT) as error:
                self._complain(str(error))
            pause = FIRST_PAUSE if self._came else min(pause * 2, LONGEST_PAUSE)
            time.sleep(pause)

    def _has_begun(self) -> bool:
        known = self.spool.folder / KNOWN
        if not known.exists() and self.api.job(self.job) is not None:
            known.touch()
        return known.exists()

    def _stream(self) -> None:
        """Take what comes until the connection ends. Raises one of ``CUT``, ``ValueError``."""
        if self.api.job(self.job) is None:
            return
        place = f"{self.api.address.replace('http', 'ws', 1)}/api/jobs/{quote(self.job, safe='')}"
        with connect(
            f"{place}/logs/tail",
            additional_headers=self.api.headers,
            open_timeout=CONNECT_WITHIN,
            max_size=MOST_AT_ONCE,
            proxy=None,
            ping_interval=None,  # which the dashboard, that only writes, would never answer
            compression=None,  # Ray's dashboard passes the offer on, and then cannot read it itself
        ) as socket:
            for line in _lines(_messages(socket)):
                frame = read_frame(line)
                if frame:
                    self._came = True
                    self.spool.take(frame)

    def _is_over(self) -> bool:
        info = self.api.job(self.job)
        return info is None or info.has_ended

    def _close(self) -> None:
        info = self.api.job(self.job)
        gone = "The cluster does not know this job any more."
        self.spool.close(*((info.status, info.message) if info else ("GONE", gone)))

    def _complain(self, said: str) -> None:
        if said != self._said:
            log.warning("%s cannot be followed: %s", self.job, said)
        self._said = said


def _messages(socket: Connection) -> Iterator[str | bytes]:
    """Until the server closes. A run tells its heartbeat all the time: a silent line is cut."""
    with suppress(ConnectionClosedOK):
        while True:
            yield socket.recv(timeout=SILENT)


def _lines(messages: Iterable[str | bytes]) -> Iterator[str]:
    """Whole lines; a message may end in the middle of one. Raises ``ValueError`` for no text."""
    rest = ""
    for message in messages:
        if not isinstance(message, str):
            raise ValueError("bytes came where lines of a log should")
        *whole, rest = (rest + message).split("\n")
        yield from whole
        if len(rest) > LONGEST_LINE:
            raise ValueError("a line of the log has no end")
