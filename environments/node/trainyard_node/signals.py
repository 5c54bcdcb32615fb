"""Wait for signals and for time at once."""

import os
import select
import signal
from types import TracebackType
from typing import Self

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
# SIGHUP is caught and has no effect: a closed terminal ends no run. It is not *ignored*, because
# the child would inherit that.
WATCHED = STOP_SIGNALS | {signal.SIGCHLD, signal.SIGHUP}


class Signals:
    """Collects the watched signals between `__enter__` and `__exit__` (main thread only)."""

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._former_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._former = {signum: signal.signal(signum, _pass) for signum in WATCHED}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for signum, handler in self._former.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._former_fd)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> frozenset[int]:
        """The signals that arrived; waits at most `seconds`, then the result may be empty."""
        ready, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        return frozenset(os.read(self._reader, 4096)) if ready else frozenset()


def _pass(signum: int, frame: object) -> None:
    return None
