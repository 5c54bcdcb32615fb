"""Notice when verl has saved a checkpoint."""

from pathlib import Path

from trainyard_node.attempt import read_small

TRACKER = "latest_checkpointed_iteration.txt"


class CheckpointWatch:
    """Reports each new `global_step_N` once; checkpoints that exist at the start are not new."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last = self._latest()

    def new_step(self) -> int | None:
        """The step just saved, or None. verl writes the tracker file after the checkpoint."""
        step = self._latest()
        if step is None or step == self._last:
            return None
        self._last = step
        return step

    def _latest(self) -> int | None:
        try:
            step = int(read_small(self._directory / TRACKER))
        except (OSError, ValueError):
            return None
        return step if (self._directory / f"global_step_{step}").is_dir() else None
