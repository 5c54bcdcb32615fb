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
from compute.runners.cluster.api import CONNECT_WITHIN, JobInfo, RayApi
from compute.runners.cluster.frames import read_frame
from compute.runners.cluster.spool import KNOWN, LOCK, Spool

MOST_AT_ONCE = 16 << 20  # bytes of one message; Ray sends ten lines in one
LONGEST_LINE = 4 << 20  # characters
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
SILENT = 60.0  # seconds
LOOKS_AGAIN = 1  # at the log of an ended job that did not say its last word
LOOKS_IN_VAIN = 4  # at the log of an ended job that cannot be read: its node may be gone
GONE_AFTER = 120.0  # seconds in which the cluster said each time that it knows no such job
CUT = (ConnectionClosed, InvalidHandshake, InvalidURI, OSError, TimeoutError)
log = logging.getLogger(__name__)

_threads: dict[Path, threading.Thread] = {}
_lock = threading.Lock()


def follow(api: RayApi, job: str, spool: Spool) -> None:
    """Make sure that one process follows the job's log, and return at once."""
    with _lock:
        thread = _threads.get(spool.folder)
        if (thread and thread.is_alive()) or spool.over is not None:
            return
        tail = Tail(api, job, spool)
        thread = threading.Thread(target=tail.run, name=f"tail {job}", daemon=True)
        _threads[spool.folder] = thread
        thread.start()


class NotKept(Exception):
    """The disk of this machine is full or fails; the cluster is not to blame."""


class Tail:
    """A log is told from its beginning at each connection; the spool takes what is new."""

    def __init__(self, api: RayApi, job: str, spool: Spool) -> None:
        self.api, self.job, self.spool = api, job, spool
        self._came = False  # anything at all in this connection
        self._said = ""
        self._gone_since: float | None = None
        # How often the log of the ended job was read by now, and could not be.
        self._looks = self._in_vain = 0

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
        pause = FIRST_PAUSE
        while self.spool.over is None:
            self._came = False
            try:
                info = self.api.job(self.job)
                if not self._has_begun(info):
                    time.sleep(1)  # before its launch, runs are looked at too
                    return
                if info is not None:
                    self._look(info)
                if self._may_close(info):
                    self._close(info)
                    return
            except (RunnerError, *CUT) as error:
                self._complain(str(error))
            pause = FIRST_PAUSE if self._came else min(pause * 2, LONGEST_PAUSE)
            time.sleep(pause)

    def _has_begun(self, info: JobInfo | None) -> bool:
        if info is not None and not self.spool.is_known:
            (self.spool.folder / KNOWN).touch()
        return self.spool.is_known

    def _look(self, info: JobInfo) -> None:
        """Read the log, from its beginning to where the connection ends."""
        try:
            self._stream()
        except NotKept as error:
            self._came = False
            self._complain(str(error))
        except (ValueError, *CUT) as error:
            self._complain(str(error))
            self._in_vain += info.has_ended
        else:
            self._looks += info.has_ended

    def _may_close(self, info: JobInfo | None) -> bool:
        """Whether nothing more will come."""
        if info is None:
            if self._gone_since is None:
                self._gone_since = time.monotonic()
            return time.monotonic() >= self._gone_since + GONE_AFTER
        self._gone_since = None
        was_read = self._looks > 0 and self.spool.has_all
        return was_read or self._looks > LOOKS_AGAIN or self._in_vain >= LOOKS_IN_VAIN

    def _stream(self) -> None:
        """Take what comes until the connection ends. Raises one of ``CUT``, ``ValueError``."""
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
                self._take(line)

    def _take(self, line: str) -> None:
        """Skip a line that cannot be read. It would come again at each new connection, and keep the
        lines after it from being read, the run's verdict among them."""
        try:
            frame = read_frame(line)
            if frame:
                self.spool.take(frame)
                self._came = True
        except ValueError as error:
            self._complain(str(error))
        except OSError as error:
            raise NotKept(f"it is not kept here: {error}") from error

    def _close(self, info: JobInfo | None) -> None:
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
