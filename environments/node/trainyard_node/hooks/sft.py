"""Saving and pausing on request in verl's SFT trainer.

A step's metrics are written, and what validation is due is done, before its checkpoint, so the loop
is left right after that. Rank 0 looks, and all ranks do what it saw.
"""

import functools
from types import ModuleType
from typing import Any

from trainyard_node.hooks import rows, shape
from trainyard_node.hooks.ranks import SharedControl
from trainyard_node.hooks.turn import Paused, Turn

USES = (
    *("resume_global_step", "training_client", "train_batch", "total_training_steps"),
    *("save_freq", "ckpt_handler", "save_checkpoint"),
)


def attach(module: ModuleType) -> bool:
    """Make verl's `SFTTrainer` resume rightly, pause and save; False, and a line in the log, when
    it is different."""
    return shape.attached(lambda: _attach(module.SFTTrainer))


def _attach(trainer: Any) -> None:
    shape.check(trainer.fit, ("self",), USES)
    rows.attach_to_sft(trainer)
    original = trainer.fit

    @functools.wraps(original)
    def fit(self: Any) -> Any:
        control = SharedControl.of_this_run()
        if control is None:
            return original(self)
        turn = Turn(control, self.save_freq)
        _watch(self, turn)
        try:
            return original(self)
        except Paused:
            turn.paused()
            return None

    trainer.fit = fit


def _watch(trainer: Any, turn: Turn) -> None:
    """Put `turn` around this trainer's work and saving."""
    client, handler = trainer.training_client, trainer.ckpt_handler
    train, save = client.train_batch, handler.save_checkpoint
    turn.step = trainer.resume_global_step

    @functools.wraps(train)
    def train_batch(*args: Any, **kwargs: Any) -> Any:
        done = train(*args, **kwargs)
        trainer.save_freq = 1 if turn.ask(turn.step + 1) else turn.save_freq
        return done

    @functools.wraps(save)
    def save_checkpoint(step: int) -> Any:
        done = save(step)
        turn.saved()
        if turn.step < _last_step(trainer):
            turn.begin()
        return done

    client.train_batch, handler.save_checkpoint = train_batch, save_checkpoint


def _last_step(trainer: Any) -> int:
    epochs = int(trainer.config.trainer.total_epochs)
    return min(int(trainer.total_training_steps), int(trainer.steps_per_epoch) * epochs)
