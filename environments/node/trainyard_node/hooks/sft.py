"""Save and pause on request in verl's SFT trainer, and tell where its time goes.

A step's metrics are written, and a due validation is done, before its checkpoint, so a pause leaves
the loop right after the save. Rank 0 looks for requests, and all ranks act on its answer. The
durations of steps, of loading their data, of validations and of saves are metrics: verl logs none.
"""

import functools
import time
from types import ModuleType
from typing import Any

from verl.utils.dataset import multiturn_sft_dataset

from trainyard_node.hooks import cut_rows, rows, shape
from trainyard_node.hooks.ranks import SharedControl
from trainyard_node.hooks.sft_times import Times
from trainyard_node.hooks.startup import Startup
from trainyard_node.hooks.turn import SAVE_TIME, Paused, Turn

USES = (
    *("resume_global_step", "training_client", "train_batch", "total_training_steps"),
    "infer_batch",
    *("save_freq", "ckpt_handler", "save_checkpoint", "Tracking"),
)


def attach(module: ModuleType) -> bool:
    """Make verl's `SFTTrainer` resume correctly, pause and save. If verl differs, return False and
    log a line."""
    return shape.attached(lambda: _attach(module))


def _attach(module: ModuleType) -> None:
    trainer: Any = module.SFTTrainer
    shape.check(trainer.fit, ("self",), USES)
    rows.attach_to_sft(trainer)
    cut_rows.attach(multiturn_sft_dataset.MultiTurnSFTDataset)
    trackings = _remembered(module)
    trainer.__init__ = _telling(trainer.__init__)
    original = trainer.fit

    @functools.wraps(original)
    def fit(self: Any) -> Any:
        control = SharedControl.of_this_run()
        if control is None:
            return original(self)
        turn, cut = Turn(control, self.save_freq), cut_rows.CutRows(self)
        _watch(self, turn, cut, trackings)
        try:
            return original(self)
        except Paused:
            turn.paused()
            return None
        finally:
            cut.close()

    trainer.fit = fit


def _telling(original: Any) -> Any:
    """The trainer's constructor, which loads the model."""

    @functools.wraps(original)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        startup = Startup.of_first_rank()
        startup.done("processes")
        original(self, *args, **kwargs)
        startup.done("model")

    return construct


def _remembered(module: ModuleType) -> list[Any]:
    """The list of loggers that the trainer makes: one on the rank that logs, none on others."""
    made: list[Any] = []
    original = module.Tracking

    @functools.wraps(original)
    def tracking(*args: Any, **kwargs: Any) -> Any:
        made.append(original(*args, **kwargs))
        return made[-1]

    module.Tracking = tracking  # type: ignore[attr-defined]
    return made


def _watch(trainer: Any, turn: Turn, cut: cut_rows.CutRows, trackings: list[Any]) -> None:
    """Call `turn` after this trainer's work and saves, and measure all that it does."""
    client, handler = trainer.training_client, trainer.ckpt_handler
    train, infer, save = client.train_batch, client.infer_batch, handler.save_checkpoint
    turn.step = trainer.resume_global_step
    times, startup = Times(trackings), Startup.of_first_rank()

    @functools.wraps(train)
    def train_batch(data: Any) -> Any:
        lost = cut.take(data)
        done = times.train(turn.step + 1, lambda: train(data))
        cut.tell(turn.step + 1, lost, done)
        startup.done("update")
        trainer.save_freq = 1 if turn.ask(turn.step + 1) else turn.save_freq
        return done

    @functools.wraps(infer)
    def infer_batch(data: Any) -> Any:
        return times.validate(lambda: infer(data))

    @functools.wraps(save)
    def save_checkpoint(step: int) -> Any:
        times.log_validation(step)
        began = time.perf_counter()
        done = save(step)
        for tracking in trackings:
            tracking.log(data={SAVE_TIME: time.perf_counter() - began}, step=step)
        times.over()
        turn.saved()
        if turn.step < _last_step(trainer):
            turn.begin()
        return done

    client.train_batch, client.infer_batch = train_batch, infer_batch
    handler.save_checkpoint = save_checkpoint


def _last_step(trainer: Any) -> int:
    epochs = int(trainer.config.trainer.total_epochs)
    return min(int(trainer.total_training_steps), int(trainer.steps_per_epoch) * epochs)
