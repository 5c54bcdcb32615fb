"""Identify a process: a pid alone is recycled, a pid with its start time is not."""

import sys
from dataclasses import dataclass
from pathlib import Path

LINUX = sys.platform.startswith("linux")
DEAD_STATES = frozenset("ZXx")


@dataclass(frozen=True)
class Identity:
    """A process. `started` is in clock ticks since boot on Linux (clock changes do not affect it)
    and in epoch seconds elsewhere; compare it only within the same boot."""

    pid: int
    started: float


def identify(pid: int) -> Identity | None:
    """The identity of a living process; None when it is gone or a zombie."""
    started = _linux_start(pid) if LINUX else _portable_start(pid)
    return None if started is None else Identity(pid, started)


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process lives. A zombie is dead; a recycled pid is another process."""
    return identify(identity.pid) == identity


def exists(pid: int) -> bool:
    """Whether any living process has this pid now."""
    return identify(pid) is not None


def boot_id() -> str:
    """An id of the current boot of this machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _linux_start(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command's name may hold spaces and brackets; the fields start after its last bracket.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0].decode() in DEAD_STATES:
        return None
    return int(fields[19])


def _portable_start(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.Error:
        return None
