"""Whether a crash is answered by going on, and when. Pure: the jobs' services ask."""

from dataclasses import dataclass

FIRST_WAIT = 30.0  # seconds
LONGEST_WAIT = 15 * 60.0


@dataclass(frozen=True)
class Crash:
    """A run's end: its last step, the step that its attempt began at, and its last words.

    ``exit_code`` is None when the run vanished without one, as with a machine that restarted.
    """

    step: int
    began_at: int
    exit_code: int | None
    error: str

    @property
    def mark(self) -> str:
        """The same for a crash that says the same at the same step."""
        return f"{self.step}: {self.error}" if self.error else ""


@dataclass(frozen=True)
class Decision:
    """``wait`` in seconds, None when it is not tried again; ``why`` is a sentence."""

    wait: float | None
    why: str


def decide(crash: Crash, former_mark: str, retried: int, allowed: int) -> Decision:
    """Try again after a crash that a second try may survive.

    Not one that would repeat: the same words at the same step twice, or an error of the program's
    own before the attempt's first step, which is a wrong setting or wrong data. A signal or a
    vanished process may have had any cause, so it is tried again.
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
