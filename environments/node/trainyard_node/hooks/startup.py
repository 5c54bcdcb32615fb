"""Tell by events how far the start of a run is: its phases until the first update is done.

verl says none of it itself. An event says that a phase is over; the platform measures the time from
one to the next.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from trainyard_node.attempt import Attempt, Lines, record_event
from trainyard_node.hooks import shape
from trainyard_node.record import RUN_DIR

MODULE = "verl.trainer.ppo.v1.trainer_base"
MARK, LAST = "_trainyard_startup", "update"
CANNOT = "does not tell the phases of its start"
# What is there once a phase is over, in the order of the phases.
SAID = {
    "processes": "The training processes are up",
    "ray": "Ray is up, and the trainer on it",
    "workers": "The workers are up",
    "model": "The model is loaded",
    "reference": "The reference's log-probabilities are there",
    "rollout": "The rollout engine is ready",
    "validation": "The validation before training is done",
    "answers": "The first answers are there",
    "update": "The first update is done",
}
Method = Callable[..., Any]


class Startup:
    """The phases that one process tells, each once; after the last one it says no more."""

    def __init__(self, root: Path | None) -> None:
        self._lines = Lines(Attempt(root).events) if root else None
        self._told: set[str] = set()

    @classmethod
    def of_this_run(cls) -> "Startup":
        """Of a process that the wrapper did not start, nothing is told."""
        directory = os.environ.get(RUN_DIR)
        return cls(Path(directory) if directory else None)

    @classmethod
    def of_first_rank(cls) -> "Startup":
        """Of processes that torchrun started, the first one tells."""
        return cls.of_this_run() if os.environ.get("RANK", "0") == "0" else cls(None)

    def done(self, phase: str) -> None:
        if self._lines is None or phase in self._told or LAST in self._told:
            return
        self._told.add(phase)
        record_event(self._lines, "phase", SAID[phase], phase=phase)


def attach(module: ModuleType) -> bool:
    """Tell the phases of verl's V1 trainer. If verl differs, return False and log a line."""
    return shape.attached(lambda: _attach(module), CANNOT)


def _attach(module: Any) -> None:
    trainer = module.PPOTrainer
    if hasattr(trainer, MARK):
        return
    shape.check(trainer.init, ("self",), ("_setup", "on_init_end"))
    uses = ("RayWorkerGroup", "spawn", "init_model", "RewardLoopManager", "LLMServerManager")
    shape.check(trainer._setup, ("self",), uses)
    shape.check(trainer._balance_batch, ("self", "batch", "metrics", "logging_prefix",
                                         "keep_minibatch"))  # fmt: skip
    startup = Startup.of_this_run()
    setattr(trainer, MARK, startup)
    told = functools.partial(_told, startup)
    trainer.init = told(trainer.init, before="ray", after="rollout")
    groups, rewards = module.RayWorkerGroup, module.RewardLoopManager
    groups.spawn = told(groups.spawn, after="workers")
    rewards.__init__ = told(rewards.__init__, before="model")  # what comes right after the model
    trainer._validate = told(trainer._validate, after="validation")
    trainer._balance_batch = told(trainer._balance_batch, before="answers")
    trainer._update_actor = told(trainer._update_actor, after="update")


def _told(startup: Startup, original: Method, *, before: str = "", after: str = "") -> Method:
    """The method, which tells that a phase is over when it begins, or when it has ended."""

    @functools.wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        if before:
            startup.done(before)
        found = original(*args, **kwargs)
        if after:
            startup.done(after)
        return found

    return method
