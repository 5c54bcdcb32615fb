"""Save and pause on request in verl's RL trainers, the V1 and the former one.

A step's metrics and rollouts are written after its checkpoint, so a pause leaves the loop at the
start of the next step. Only the driver looks for requests; the workers do what it says.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from omegaconf import open_dict

from trainyard_node.control import Control
from trainyard_node.hooks import rows, shape
from trainyard_node.hooks.turn import Paused, Turn

TURN = "_trainyard_turn"
Method = Callable[..., Any]


@dataclass(frozen=True)
class Trainer:
    """Hooks for one trainer class.

    `fit` of the class `name` calls `works` when a step's work is done, then uses
    `trainer.save_freq` to decide whether to save, and begins the next step with `_start_profiling`.
    """

    module: str
    name: str
    fit: tuple[str, ...]
    works: tuple[str, ...]
    begins: tuple[str, ...]
    forgets_rows: bool = False

    def attach(self, module: ModuleType) -> bool:
        """Wrap the methods. If verl differs, return False and log a line."""
        return shape.attached(lambda: self._attach(getattr(module, self.name)))

    def _attach(self, trainer: Any) -> None:
        if hasattr(trainer, TURN):
            return
        work, *taken = self.works
        calls = (work, "_start_profiling", "_save_checkpoint", "save_freq", "global_steps")
        shape.check(trainer.fit, self.fit, calls)
        shape.check(getattr(trainer, work), taken)
        shape.check(trainer._start_profiling, self.begins)
        shape.check(trainer._save_checkpoint, ("self",))
        shape.check(trainer._shutdown_dump_executor, ("self",))
        if self.forgets_rows:
            rows.attach_to_former(trainer)
        setattr(trainer, TURN, None)
        trainer._start_profiling = _beginning(trainer._start_profiling)
        setattr(trainer, work, _looking(getattr(trainer, work)))
        trainer._save_checkpoint = _noting(trainer._save_checkpoint)
        trainer.fit = _ending(trainer.fit)


V1 = Trainer(
    module="verl.trainer.ppo.v1.trainer_base",
    name="PPOTrainer",
    fit=("self", "agent_loop_manager"),
    works=("step", "self", "metrics", "timing_raw"),
    begins=("self",),
)
FORMER = Trainer(
    module="verl.trainer.ppo.ray_trainer",
    name="RayPPOTrainer",
    fit=("self",),
    works=("_update_actor", "self", "batch"),
    begins=("self", "do_profile"),
    forgets_rows=True,
)


def _beginning(original: Method) -> Method:
    @functools.wraps(original)
    def start_profiling(self: Any, *args: Any, **kwargs: Any) -> Any:
        turn: Turn | None = getattr(self, TURN)
        if turn is not None:
            _save_every(self, turn.save_freq)
            turn.begin()
        return original(self, *args, **kwargs)

    return start_profiling


def _looking(original: Method) -> Method:
    @functools.wraps(original)
    def work(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = original(self, *args, **kwargs)
        turn: Turn | None = getattr(self, TURN)
        if turn is not None and turn.ask(self.global_steps):
            _save_every(self, 1)
        return done

    return work


def _noting(original: Method) -> Method:
    @functools.wraps(original)
    def save_checkpoint(self: Any) -> Any:
        done = original(self)
        turn: Turn | None = getattr(self, TURN)
        if turn is not None:
            turn.saved()
        return done

    return save_checkpoint


def _ending(original: Method) -> Method:
    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        control = Control.of_this_run()
        if control is None:
            return original(self, *args, **kwargs)
        turn = Turn(control, self.config.trainer.save_freq)
        setattr(self, TURN, turn)
        try:
            return original(self, *args, **kwargs)
        except Paused:
            self._shutdown_dump_executor()  # another thread writes the step's rollouts
            turn.paused()
            return None
        finally:
            _save_every(self, turn.save_freq)
            setattr(self, TURN, None)

    return fit


def _save_every(trainer: Any, steps: Any) -> None:
    with open_dict(trainer.config):
        trainer.config.trainer.save_freq = steps
