"""A process that ends when its parent does, also when that one is killed outright."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def tie_to(parent: int, how: signal.Signals) -> Callable[[], None] | None:
    """What a new child of ``parent`` calls first, to be sent a signal at its end; Linux only.

    The kernel sends it when the *thread* ends that made the child.
    """
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:
            os.kill(os.getpid(), how)

    return tie
