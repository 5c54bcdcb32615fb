"""The request at the end of one step: look for it, save, report, and leave the loop."""

from typing import Any

from trainyard_node.control import Asked, Control

SAVE_TIME = "timing_s/save_checkpoint"  # seconds; the name of the metric in verl's RL trainers


class Paused(Exception):
    """Leaves the training loop after a saved step. The hook around `fit` catches it."""


class Turn:
    """`asked` is the request found at the end of `step`; `is_saved` is true once its checkpoint
    exists; `save_freq` is the trainer's setting in all other steps."""

    def __init__(self, control: Control, save_freq: Any) -> None:
        self._control = control
        self.save_freq = save_freq
        self.step = 0
        self.asked: Asked | None = None
        self.is_saved = False

    def begin(self) -> None:
        """Call it before a step. Raises Paused after a step that was saved for a pause."""
        if self.asked == "pause" and self.is_saved:
            raise Paused
        self.asked, self.is_saved = None, False

    def ask(self, step: int) -> bool:
        """Call it at the end of `step`. Return whether the step must be saved."""
        self.step, self.asked = step, self._control.look()
        return self.asked is not None

    def saved(self) -> None:
        """Call it after a save. It removes the request."""
        if self.asked is not None:
            self.is_saved = True
            self._control.saved(self.asked)

    def paused(self) -> None:
        """Report the pause, as the last action of the run."""
        self._control.paused(self.step)
