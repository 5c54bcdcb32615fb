"""Calls of functions in children with limits of time and memory, a few at a time.

What renders, parses or counts what a user brought is called so by pages and commands: one file may
ask for any amount of work. The children are forks of one process, which has imported the code
already, so that a call takes milliseconds.
"""

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from platform_site.bounded.environment import passed_on
from platform_site.bounded.forks import HERE
from platform_site.bounded.limits import FRUGAL, MIB, PAGE, Limits, TooMuch
from platform_site.counts import limit_text

P = ParamSpec("P")
T = TypeVar("T")
State = tuple[tuple[str, int, int], ...]
AT_ONCE = 3
MOST_FILES = 2_000
ROOT = Path(__file__).resolve().parents[2]
QUIET = {"TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}  # else it advises everybody to install torch
GRACE = 5.0  # seconds beyond the limit, for a fork under load
_turns = threading.BoundedSemaphore(AT_ONCE)


def call(
    limits: Limits,
    needs: Sequence[str],
    function: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """What ``function`` returns or raises in a child.

    ``function`` is one of a module; it, its arguments and its result can be pickled. ``needs`` are
    modules that take long to import: they are imported once, for all calls. Raises ``TooMuch`` when
    the call takes more than the limits, or no turn comes.
    """
    if not _turns.acquire(timeout=limits.patience):
        raise TooMuch(f"{AT_ONCE} files are being read at this moment. Try again in a minute.")
    try:
        return _answered(limits, needs, function, pickle.dumps((limits, function, args, kwargs)))
    finally:
        _turns.release()


def bounded(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As ``call``, with the limits of a page."""
    return call(PAGE, (), function, *args, **kwargs)


def of_file(function: Callable[[Path], T], path: Path) -> T:
    """As ``bounded``, for what is asked again and again: kept while the file, or the files of the
    folder, are unchanged.
    """
    try:
        state = _state_of(path)
    except OSError:  # the function finds out itself what is wrong
        return bounded(function, path)
    kept: T = _kept(function, path, state)
    return kept


def _state_of(path: Path) -> State:
    paths = [path, *sorted(islice(path.iterdir(), MOST_FILES))] if path.is_dir() else [path]
    facts = [(str(each), each.stat()) for each in paths]
    return tuple((name, fact.st_mtime_ns, fact.st_size) for name, fact in facts)


@lru_cache(maxsize=128)
def _kept(function: Callable[[Path], Any], path: Path, state: State) -> Any:
    return bounded(function, path)


def _answered(limits: Limits, needs: Sequence[str], function: Callable[..., T], asked: bytes) -> T:
    began = time.monotonic()
    said = _asked(limits, [function.__module__, *needs], asked)
    if not said:  # the process that forks was killed, with the question
        said = _asked(limits, [function.__module__, *needs], asked)
    answer = said.removeprefix(HERE)
    if not answer:
        raise TooMuch(_why(limits, time.monotonic() - began))
    failed, result = pickle.loads(answer)  # noqa: S301 of our own child, which runs our own code
    if failed:
        raise result
    found: T = result
    return found


def _asked(limits: Limits, modules: list[str], asked: bytes) -> bytes:
    """What a child says: that it is there, and then the answer, unless it is ended."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            _forks.send(modules, theirs)
        ours.settimeout(limits.seconds + GRACE)
        held: list[bytes] = []
        with suppress(ConnectionError, TimeoutError):
            ours.sendall(asked)
            ours.shutdown(socket.SHUT_WR)
            while block := ours.recv(MIB):
                held.append(block)
                if sum(map(len, held)) > limits.answer:
                    most = limit_text(limits.answer)
                    raise TooMuch(f"It is larger than {most}: too much for a page.")
    return b"".join(held)


def _why(limits: Limits, took: float) -> str:
    if took >= limits.seconds:
        return f"It took more than {limits.seconds:g} s, and was ended."
    return (
        "It was ended before it answered: it may have needed more than "
        f"{limit_text(limits.memory)} of memory."
    )


class Forks:
    """The process whose forks the children are. It ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._control: socket.socket | None = None

    def send(self, modules: Sequence[str], theirs: socket.socket) -> None:
        message = json.dumps(list(modules)).encode()
        with self._lock:
            for last in (False, True):
                try:
                    socket.send_fds(self._there(), [message], [theirs.fileno()])
                    return
                except OSError:  # it was killed
                    self._control = None
                    if last:
                        raise

    def _there(self) -> socket.socket:
        if self._control is None or self._owner != os.getpid():
            self._control, self._owner = _started(), os.getpid()
        return self._control


def _started() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen(
            [sys.executable, "-m", "platform_site.bounded.forks", str(theirs.fileno())],
            cwd=ROOT, env=passed_on() | FRUGAL | QUIET, stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()], start_new_session=True,
        )  # fmt: skip
    return ours


_forks = Forks()
