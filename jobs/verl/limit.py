"""Find the latest time to start a run's last save before its time limit or its rental ends."""

from dataclasses import dataclass

CLOCKS_APART = 30.0  # seconds; the check of a machine's clock accepts this difference too
LEAST_MARGIN = 60.0  # seconds; an unmeasured save on a slow disk may take this long
STEPS = 2  # the current step, and another in case it takes longer than usual


def save_by(deadline: float, step_seconds: float | None, save_seconds: float | None) -> float:
    """The time at which to ask for the last checkpoint, on the clock of ``deadline``, in seconds.

    The run saves after the current step, so the margin covers that step, another one, and twice the
    longest save so far. Unknown durations count as 0; LEAST_MARGIN always applies.
    """
    margin = STEPS * (step_seconds or 0.0) + 2 * (save_seconds or 0.0)
    return deadline - max(LEAST_MARGIN, margin)


ASSUMED_SAVE = 150.0  # seconds; assumed for an unmeasured save; the margin holds it twice


@dataclass(frozen=True)
class Margin:
    """Seconds before a rental's end to ask for the last checkpoint; ``unknown`` is unmeasured."""

    seconds: float
    unknown: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The basis of the margin, as a sentence."""
        if self.unknown:
            missing = " and no ".join(self.unknown)
            return f"No {missing} of it was measured yet: {self.seconds:.0f} s are an estimate."
        return f"{self.seconds:.0f} s are needed, by its measured steps and saves."


def rental_margin(step_seconds: float | None, save_seconds: float | None) -> Margin:
    """The margin before a rental's end; for safety an unmeasured save counts as ASSUMED_SAVE."""
    assumed = ASSUMED_SAVE if save_seconds is None else save_seconds
    known = {"step": step_seconds, "save": save_seconds}
    unknown = tuple(name for name, seconds in known.items() if seconds is None)
    return Margin(-save_by(0.0, step_seconds, assumed), unknown)


def rental_now(ours: float, theirs: float) -> float:
    """The current time in epoch seconds: the later of our clock and the machine's, to be safe.

    A machine's clock that is far off cannot tell when a rental ends; then our clock counts.
    """
    return max(ours, theirs) if abs(theirs - ours) <= CLOCKS_APART else ours
