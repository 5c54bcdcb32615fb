"""Decide whether and when a crashed run is retried. The services of jobs call this module."""

import re
from dataclasses import dataclass

# Differs between two runs that break in the same way: process ids, addresses, names made by chance.
BY_CHANCE = re.compile(r"pid=\d+|\bProcess \d+|0x[0-9a-f]+|\b(?=[0-9a-f-]*\d)[0-9a-f-]{8,}\b")
FIRST_WAIT = 30.0  # seconds
LONGEST_WAIT = 15 * 60.0


@dataclass(frozen=True)
class Crash:
    """The end of a run: its last step, the first step of its attempt, and its error message.

    ``exit_code`` is None when the run vanished without one, as when the machine restarted.
    """

    step: int
    began_at: int
    exit_code: int | None
    error: str

    @property
    def is_own_error(self) -> bool:
        """Whether the program ended itself: a signal and a vanished process have any cause."""
        return self.exit_code is not None and self.exit_code <= 128

    @property
    def mark(self) -> str:
        """A text that is equal for two crashes with the same message at the same step, or with the
        same exit code where there is no message; empty where nothing can be compared."""
        if self.error:
            return f"{self.step}: {BY_CHANCE.sub('…', self.error)}"
        return f"{self.step}: exit code {self.exit_code}" if self.is_own_error else ""


@dataclass(frozen=True)
class Decision:
    """``wait`` is in seconds, None when the run is not retried; ``why`` is a sentence."""

    wait: float | None
    why: str


def decide(crash: Crash, former_mark: str, retried: int, allowed: int) -> Decision:
    """Retry after a crash that a second try may survive.

    A crash that would repeat is not retried: the same message at the same step twice, or an error
    of the program itself before the attempt's first step, which means a wrong setting or wrong
    data. After a signal or a vanished process the run is retried.
    """
    if retried >= allowed:
        return Decision(None, f"All {allowed} retries are used up." if allowed else "")
    if crash.is_own_error and crash.step <= crash.began_at:
        why = "it failed before its first step, as it would again."
        return Decision(None, f"Not tried again: {why}")
    if crash.mark and crash.mark == former_mark:
        return Decision(None, f"Not tried again: the same error at step {crash.step} as before.")
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2**retried)
    return Decision(wait, f"Goes on by itself in {wait:.0f} s: retry {retried + 1} of {allowed}.")
