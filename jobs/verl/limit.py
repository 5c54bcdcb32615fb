"""When a run must begin to save, so that its checkpoint is there before its time is up."""

LEAST_MARGIN = 60.0  # seconds: a save takes long on a slow disk, and nobody has measured it yet
STEPS = 2  # the one that is going on, and one more in case it takes longer than usual


def save_by(deadline: float, step_seconds: float | None, save_seconds: float | None) -> float:
    """The moment at which to ask for the last checkpoint, in the seconds of ``deadline``.

    A request is honoured after the current step, so that step, another one, and twice the longest
    save seen so far must fit in; unknown durations count as nothing beside the least margin.
    """
    margin = STEPS * (step_seconds or 0.0) + 2 * (save_seconds or 0.0)
    return deadline - max(LEAST_MARGIN, margin)
