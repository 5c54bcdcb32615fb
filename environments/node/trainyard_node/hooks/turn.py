"""One step's request, from the look at its end to what follows from it."""

from typing import Any

from trainyard_node.control import Asked, Control

SAVE_TIME = "timing_s/save_checkpoint"  # seconds, as verl's RL trainers log it


class Paused(Exception):
    """Leaves the training loop after a saved step. Caught where the loop was entered."""


class Turn:
    """`asked` is what was found at the end of `step`; `is_saved` that its checkpoint is there;
    `save_freq` what the trainer is to have in all other steps."""

    def __init__(self, control: Control, save_freq: Any) -> None:
        self._control = control
        self.save_freq = save_freq
        self.step = 0
        self.asked: Asked | None = None
        self.is_saved = False

    def begin(self) -> None:
        """Before a step: raises Paused when the one before was the last that was wanted."""
        if self.asked == "pause" and self.is_saved:
            raise Paused
        self.asked, self.is_saved = None, False

    def ask(self, step: int) -> bool:
        """At the end of `step`: whether it has to be saved."""
        self.step, self.asked = step, self._control.look()
        return self.asked is not None

    def saved(self) -> None:
        """After a save: the request goes."""
        if self.asked is not None:
            self.is_saved = True
            self._control.saved(self.asked)

    def paused(self) -> None:
        """Tell it, last of all."""
        self._control.paused(self.step)
