"""When a run must begin to save, so that its checkpoint is there before its time is up."""

from dataclasses import dataclass

CLOCKS_APART = 30.0  # seconds; what the check of a machine's clock lets pass as well
LEAST_MARGIN = 60.0  # seconds: a save takes long on a slow disk, and nobody has measured it yet
STEPS = 2  # the one that is going on, and one more in case it takes longer than usual


def save_by(deadline: float, step_seconds: float | None, save_seconds: float | None) -> float:
    """The moment at which to ask for the last checkpoint, in the seconds of ``deadline``.

    A request is honoured after the current step, so that step, another one, and twice the longest
    save seen so far must fit in; unknown durations count as nothing beside the least margin.
    """
    margin = STEPS * (step_seconds or 0.0) + 2 * (save_seconds or 0.0)
    return deadline - max(LEAST_MARGIN, margin)


ASSUMED_SAVE = 150.0  # seconds that a save is taken to need where none was measured; twice it fits


@dataclass(frozen=True)
class Margin:
    """How long before a rental's end to ask for the last checkpoint; what of it is not measured."""

    seconds: float
    unknown: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What the margin rests on, as a sentence."""
        if self.unknown:
            missing = " and no ".join(self.unknown)
            return f"No {missing} of it was measured yet: {self.seconds:.0f} s are an estimate."
        return f"{self.seconds:.0f} s are needed, by its measured steps and saves."


def rental_margin(step_seconds: float | None, save_seconds: float | None) -> Margin:
    """As for the time limit, but what is unknown is assumed: after a rental there is no machine."""
    assumed = ASSUMED_SAVE if save_seconds is None else save_seconds
    known = {"step": step_seconds, "save": save_seconds}
    unknown = tuple(name for name, seconds in known.items() if seconds is None)
    return Margin(-save_by(0.0, step_seconds, assumed), unknown)


def rental_now(ours: float, theirs: float) -> float:
    """What time it is, of our clock and the machine's own: the later, to be on the safe side.

    A clock that is far off says nothing about when a rental ends: ours is then taken. In epoch
    seconds.
    """
    return max(ours, theirs) if abs(theirs - ours) <= CLOCKS_APART else ours
