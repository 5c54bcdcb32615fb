"""How much a bounded call may take, and what is said when it takes more."""

import math
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
GIB = 2**30
# The environment of a process with a limit of memory. Arrow's own allocator, and malloc for each
# thread, reserve gibibytes that they never use, and the limit counts them.
FRUGAL = {
    "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip


class TooMuch(ValueError):
    """What a user brought asks for more than a page may take. The message is a sentence."""


@dataclass(frozen=True)
class Limits:
    """Seconds by the clock, bytes of memory and of the answer, and seconds to wait for a turn."""

    seconds: float = 20.0
    memory: int = GIB
    answer: int = 32 * MIB
    patience: float = 10.0

    def lay_on(self) -> None:
        """Let the kernel end this process when it takes more. Nothing in it can prevent that."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        # Several threads may use several cores; the clock comes first.
        _limit(resource.RLIMIT_CPU, math.ceil(self.seconds * (os.cpu_count() or 1)))
        _limit(resource.RLIMIT_CORE, 0)
        limit_memory(self.memory)


PAGE = Limits()
TEMPLATES = Limits(memory=2 * GIB)  # a tokenizer with many words takes some hundred MiB itself
COUNTING = Limits(seconds=60, memory=2 * GIB)


def limit_memory(size: int) -> None:
    """Bound what this process allocates from now on; more raises ``MemoryError``."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = allocated() + size
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


class _OutOfTime(BaseException):
    """No error of the work that is broken off: nothing there may take it for its own."""


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Break off Python code that takes longer, by ``TooMuch``. Only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _OutOfTime:
        raise TooMuch(f"{what} It took more than {seconds:g} s, and was ended.") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raise(number: int, frame: object) -> None:
    raise _OutOfTime


def allocated() -> int:
    """Bytes that this process has allocated, as the limit counts them; 0 where nobody tells."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def _limit(what: int, size: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard == resource.RLIM_INFINITY or size < hard:
        resource.setrlimit(what, (size, size))
