"""End a process when its parent ends, also when the parent is killed outright."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def tie_to(parent: int, how: signal.Signals) -> Callable[[], None] | None:
    """A function that a new child of ``parent`` calls first, so that the parent's end signals it.

    None outside Linux. The kernel sends the signal when the *thread* that made the child ends.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:
            os.kill(os.getpid(), how)

    return tie
