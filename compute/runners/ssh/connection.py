"""One lasting connection to each machine a process, made again after a cut, ever more rarely."""

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import paramiko
from paramiko.ssh_exception import ChannelException, IncompatiblePeer

from compute.runners.base import HostKeyRefused, LoginRefused, RunnerError, Unreachable
from compute.runners.ssh.address import Address
from compute.runners.ssh.dial import CONNECT_WITHIN, negotiate, open_socket
from compute.runners.ssh.files import FarFiles
from compute.runners.ssh.login import log_in
from compute.runners.ssh.process import ANSWERS_WITHIN, LOST, Cut, FarProcess, command_line
from compute.runners.ssh.trust import algorithms_for, check, confirmed, host_key_of

KEEP_ALIVE = 15  # seconds between signs of life, so that no router forgets the connection
OPEN_WITHIN = 15.0  # seconds for one more channel in a connection that is there
FIRST_PAUSE = 1.0  # seconds before a machine that was not reached is tried again
LONGEST_PAUSE = 60.0
LONGEST_HOME = 300  # characters
LOGINS = (
    3  # refused logins, after which it is tried rarely: a machine may ban a user who tries often
)
REFUSED_PAUSE = 900.0
SELDOM = (
    f"a login is tried every {REFUSED_PAUSE / 60:.0f} minutes only, so that the machine does not "
    "shut this one out. Correct what it is given, or check it to try at once."
)
KEPT = 2  # file-answering processes, each with a Python of its own
SESSIONS = 8  # at the same time; sshd allows ten in one connection


# Every fault is raised to the caller; paramiko would log it once more, with a traceback.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Connection:
    """The connection to one address, for all threads of this process; opened at its first use."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._transport: paramiko.Transport | None = None
        self._lock = threading.RLock()
        self._sessions = threading.BoundedSemaphore(SESSIONS)
        self._failure: Unreachable | None = None
        self._files: dict[str, FarFiles] = {}
        self._home = ""
        self._failed_at = self._pause = self._next_try = 0.0
        self._refusals = 0

    def run(self, argv: Sequence[str], stdin: bytes = b"", within: float = ANSWERS_WITHIN) -> bytes:
        """Run a fixed command, never one that a user typed, and return what it wrote.

        Raises ``RunnerError`` with its last words when it failed, ``RunnerUnsure`` when the
        answer did not come, ``Unreachable`` when it was never started.
        """
        with self.start(argv) as process:
            return process.finish(stdin, within)

    @contextmanager
    def start(self, argv: Sequence[str]) -> Iterator[FarProcess]:
        """A process on the far side. Its streams are closed at the end of the block."""
        if not self._sessions.acquire(timeout=ANSWERS_WITHIN):
            raise RunnerError(
                f"{SESSIONS} commands already run on {self.address}. Try again later."
            )
        try:
            channel = self._open_session()
            try:
                yield self._execute(channel, argv)
            finally:
                with suppress(*LOST):
                    channel.close()
        finally:
            self._sessions.release()

    def files_by(self, python: str) -> FarFiles:
        """The process that answers questions about files, by this Python; started once and kept."""
        with self._lock:
            files = self._files.pop(python, None)
            files = files or FarFiles(self.start, python, str(self.address))
            self._files[python] = files
            old = list(self._files)[:-KEPT]
            dropped = [self._files.pop(each) for each in old]
        for each in dropped:
            each.close()
        return files

    def home(self) -> str:
        """The far user's home, asked for once."""
        if not self._home:
            said = self.run(["pwd"])  # a session begins in it; a server need not have SFTP
            try:
                self._home = _checked_home(said.decode())
            except ValueError as error:
                raise RunnerError(
                    f"{self.address} does not say where its user's home is: {error}."
                ) from error
        return self._home

    def at_home(self, path: str) -> str:
        """A path whose leading ``~`` is the home in its place: no shell ever sees a ``~``."""
        return self.home() + path[1:] if path == "~" or path.startswith("~/") else path

    def channel_to(self, host: str, port: int, within: float) -> paramiko.Channel:
        """A line through this machine to another one. Raises ``Unreachable``."""
        transport = self.transport()
        try:
            return transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=within
            )
        except LOST as error:
            raise Unreachable(
                f"The jump host {self.address} cannot reach {host}:{port} ({error})."
            ) from error

    def transport(self) -> paramiko.Transport:
        """The session, logged in. Raises ``Unreachable``, at once while it waits for a new try."""
        with self._lock:
            if self._transport and self._transport.is_active():
                return self._transport
            self._give_up()
            self._wait_for_next_try()
            try:
                self._transport = _connect(self.address)
            except Unreachable as error:
                self._back_off(error)
                raise
            self._failure, self._pause, self._refusals = None, 0.0, 0
            return self._transport

    def retry_now(self) -> None:
        """Connect at the next call, without waiting: a user asks, or the machine was seen."""
        with self._lock:
            self._next_try, self._refusals = 0.0, 0

    def close(self) -> None:
        """End the session; the next call makes a new one."""
        for files in list(self._files.values()):
            files.close()
        with self._lock:
            self._give_up()

    def _open_session(self) -> paramiko.Channel:
        try:
            return self._try_to_open_session()
        except Cut:  # the cut shows only now; nothing was asked yet, so connecting again is safe
            pass
        try:
            return self._try_to_open_session()
        except Cut as error:
            raise Unreachable(str(error)) from error

    def _try_to_open_session(self) -> paramiko.Channel:
        transport = self.transport()
        try:
            return transport.open_session(timeout=OPEN_WITHIN)
        except ChannelException as error:
            raise RunnerError(f"{self.address} opens no more sessions ({error.text}).") from error
        except LOST as error:
            transport.close()
            raise Cut(f"The connection to {self.address} was cut ({error}).") from error

    def _execute(self, channel: paramiko.Channel, argv: Sequence[str]) -> FarProcess:
        channel.settimeout(OPEN_WITHIN)
        try:
            _in_time(channel, lambda: channel.exec_command(command_line(argv)))
        except TimeoutError as error:  # no program starts to work before its input arrives
            raise Unreachable(
                f"{self.address} takes a request and does not answer it within {OPEN_WITHIN:.0f} s."
            ) from error
        except LOST as error:
            if channel.get_transport().is_active():
                raise RunnerError(f"{self.address} runs no commands for this user.") from error
            raise Unreachable(f"The connection to {self.address} was cut ({error}).") from error
        return FarProcess(channel, str(self.address))

    def _give_up(self) -> None:
        if self._transport:
            self._transport.close()
            self._transport = None

    def _wait_for_next_try(self) -> None:
        left = self._next_try - time.monotonic()
        if self._failure and left > 0:
            since = datetime.fromtimestamp(self._failed_at, UTC)
            waits = self._refusals >= LOGINS
            when = SELDOM if waits else f"the next try is in {left:.0f} s."
            again = type(self._failure)(
                f"{self._failure} So it has been since {since:%F %T} UTC; {when}"
            )
            again.waits_for_user = waits
            again.since = self._failed_at
            raise again

    def _back_off(self, error: Unreachable) -> None:
        self._failed_at = self._failed_at if self._failure else time.time()
        self._failure = error
        error.since = self._failed_at
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        self._next_try = time.monotonic() + self._pause
        if isinstance(error, LoginRefused):
            self._refusals += 1
            if self._refusals >= LOGINS:
                self._next_try = time.monotonic() + REFUSED_PAUSE


def _checked_home(said: str) -> str:
    """The far user's home, which paths are built on: the last line, since a shell may greet.

    Raises ``ValueError`` when it is no folder.
    """
    path = (said.splitlines() or [""])[-1]
    if not path.startswith("/") or len(path) > LONGEST_HOME or not path.isprintable():
        raise ValueError(f"{path[:60]!r} is no folder")
    return path


def _in_time(channel: paramiko.Channel, ask: Callable[[], None]) -> None:
    """Wait for the answer to a request for a limited time; paramiko itself would wait for ever."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with suppress(*LOST):
            channel.close()

    timer = threading.Timer(OPEN_WITHIN, give_up)
    timer.daemon = True
    timer.start()
    try:
        ask()
    except LOST as error:
        if late.is_set():
            raise TimeoutError("no answer") from error
        raise
    finally:
        timer.cancel()


def connection_to(address: Address) -> Connection:
    """The connection of this process to an address; it connects when it is first used."""
    with _all_lock:
        return _all.setdefault(address, Connection(address))


def drop(address: Address, used: Collection[Address] = ()) -> None:
    """End the connection to an address that nobody is to use any more, and forget its secrets.

    Its jump host's as well, unless another address is behind it, or it is one that is ``used``.
    """
    with _all_lock:
        dropped = []
        for one in (address, address.jump):
            if one and one not in used and not any(other.jump == one for other in _all):
                dropped.append(_all.pop(one, None))
    for connection in dropped:
        if connection:
            connection.close()


def close_all() -> None:
    """End every connection of this process."""
    with _all_lock:
        ended = list(_all.values())
        _all.clear()
    for connection in ended:
        connection.close()


def line_to(address: Address, within: float) -> Any:
    """Open a socket, or a channel through the jump host. Raises ``Unreachable``."""
    if address.jump is None:
        return open_socket(address, within)
    return connection_to(address.jump).channel_to(address.host, address.port, within)


def _connect(address: Address) -> paramiko.Transport:
    expected = confirmed(address)
    algorithms = algorithms_for(expected) if expected else ()
    try:
        line = line_to(address, CONNECT_WITHIN)
        transport = negotiate(line, address, CONNECT_WITHIN, algorithms)
    except IncompatiblePeer as error:
        raise _incompatible(address, error) from None
    try:
        check(address, host_key_of(transport))
        log_in(transport, address)
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(KEEP_ALIVE)
    return transport


def _incompatible(address: Address, error: IncompatiblePeer) -> Unreachable:
    """The error for a host without a key of the confirmed kind: it names the key that it has."""
    with suppress(Unreachable, IncompatiblePeer):
        transport = negotiate(line_to(address, CONNECT_WITHIN), address, CONNECT_WITHIN)
        try:
            check(address, host_key_of(transport))
        except HostKeyRefused as refused:
            return refused
        finally:
            transport.close()
    return Unreachable(f"{address} speaks no SSH that is safe enough to use here ({error}).")


def _after_fork() -> None:
    """A forked process must not talk in its parent's sessions, nor close them."""
    global _all, _all_lock
    # The objects are kept: paramiko would close the parent's sessions when they are collected.
    _of_parents.append(_all)
    _all, _all_lock = {}, threading.Lock()


_all: dict[Address, Connection] = {}
_all_lock = threading.Lock()
_of_parents: list[dict[Address, Connection]] = []
os.register_at_fork(after_in_child=_after_fork)
