"""Decide whether and when a crashed run is retried. The services of jobs call this module."""

from dataclasses import dataclass

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
    def mark(self) -> str:
        """A text that is equal for two crashes with the same message at the same step."""
        return f"{self.step}: {self.error}" if self.error else ""


@dataclass(frozen=True)
class Decision:
    """``wait`` is in seconds, None when the run is not retried; ``why`` is a sentence."""

    wait: float | None
    why: str


def decide(crash: Crash, former_mark: str, retried: int, allowed: int) -> Decision:
    """Retry after a crash that a second try may survive.

    A crash that would repeat is not retried: the same message at the same step twice, or an error
    of the program itself before the attempt's first step, which means a wrong setting or wrong
    data. A signal or a vanished process may have any cause, so the run is retried.
    """
    if retried >= allowed:
        return Decision(None, f"All {allowed} retries are used up." if allowed else "")
    own_error = crash.exit_code is not None and crash.exit_code <= 128
    if own_error and crash.step <= crash.began_at:
        why = "it failed before its first step, as it would again."
        return Decision(None, f"Not tried again: {why}")
    if crash.mark and crash.mark == former_mark:
        return Decision(None, f"Not tried again: the same error at step {crash.step} as before.")
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2**retried)
    return Decision(wait, f"Goes on by itself in {wait:.0f} s: retry {retried + 1} of {allowed}.")
