"""Find and end the processes of a run. psutil refuses to signal a recycled pid."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

import psutil

from trainyard_node.identity import LINUX
from trainyard_node.record import MARK, RUN_DIR

Process: TypeAlias = psutil.Process

PR_SET_CHILD_SUBREAPER = 36
PAUSE = 0.05


def become_subreaper() -> bool:
    """Adopt the orphans of this process's tree (Linux). Return False if that is not possible."""
    if not LINUX:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def descendants(pid: int) -> list[Process]:
    """All living processes below `pid`, without zombies."""
    try:
        return _living(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def in_session(session: int) -> list[Process]:
    """All living processes of one session."""
    return _living(p for p in psutil.process_iter() if _session_of(p.pid) == session)


def marked(mark: str) -> list[Process]:
    """All living processes that inherited this attempt's mark, except the caller."""
    if not mark:
        return []
    return _inheriting(MARK, lambda value: value == mark)


def in_run(directory: str) -> list[Process]:
    """All living processes that inherited this attempt directory, or a folder in it as the trainer
    of a dry-fire does, except the caller.

    They can be found even when the run's pid file is gone.
    """
    return _inheriting(RUN_DIR, lambda value: f"{value}/".startswith(f"{directory}/"))


def send(processes: Iterable[Process], signum: int) -> None:
    """Signal each process; skip one that is gone or that we may not signal."""
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            process.send_signal(signum)


def end(find: Callable[[], list[Process]], grace: float, limit: float = 30.0) -> list[Process]:
    """Send SIGTERM to the processes that `find` returns, wait `grace` seconds, then send SIGKILL
    until it finds none.

    `find` is called again each time, so that processes born meanwhile are ended too. Returns the
    processes that still live after `limit` more seconds (uninterruptible waits).
    """
    send(find(), signal.SIGTERM)
    if not wait_until(lambda: not find(), grace):
        wait_until(lambda: not _kill_found(find), limit)
    return find()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` for up to `seconds`; return its last answer."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return condition()
        time.sleep(PAUSE)
    return True


def name_of(process: Process) -> str:
    """The program's name, or "?" when the process is gone."""
    try:
        return str(process.name())
    except psutil.Error:
        return "?"


def _kill_found(find: Callable[[], list[Process]]) -> list[Process]:
    found = find()
    send(found, signal.SIGKILL)
    return found


def _living(processes: Iterable[Process]) -> list[Process]:
    return [process for process in processes if lives(process)]


def lives(process: Process) -> bool:
    """Whether exactly this process is alive and no zombie."""
    try:
        dead = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return not dead and bool(process.is_running())
    except psutil.Error:
        return False


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _inheriting(name: str, fits: Callable[[str], bool]) -> list[Process]:
    others = (p for p in psutil.process_iter() if p.pid != os.getpid())
    return _living(p for p in others if fits(_variable_of(p, name)))


def _variable_of(process: Process, name: str) -> str:
    """Empty where it is not set, or the process may not be asked."""
    try:
        environment: dict[str, str] = process.environ()
    except (psutil.Error, OSError):
        return ""
    return environment.get(name, "")
