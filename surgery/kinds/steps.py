"""The step that the path of a checkpoint names."""

from pathlib import PurePosixPath

from jobs.verl.checkpoints import STEP_DIR


def step_in(path: str) -> int | None:
    """The step of a ``global_step_N`` folder; None for any other folder."""
    found = STEP_DIR.fullmatch(PurePosixPath(path).name)
    return int(found[1]) if found else None
