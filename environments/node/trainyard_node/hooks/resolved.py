"""Tell the configuration that a trainer was made with: as Hydra composed it, interpolations
resolved.

It is told before the trainer does anything, so that it is known of a run that fails at once. Values
of secret environment variables, which an interpolation may have brought in, are left out.
"""

import functools
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from trainyard_node.attempt import Attempt, Lines
from trainyard_node.hooks import shape
from trainyard_node.record import RUN_DIR

SFT, RL, DPO = "sft_trainer_engine", "ppo_trainer", "dpo_trainer"
SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
SHORTEST = 6  # characters: what is shorter is no secret, but stands everywhere
HIDDEN = "***"
MARK = "_trainyard_resolved"
CANNOT = "does not tell its configuration"


def attach_to_v1(module: ModuleType) -> bool:
    """Tell it in verl's V1 trainer of RL. If verl differs, return False and log a line."""
    return shape.attached(lambda: _attach(module.PPOTrainer, RL), CANNOT)


def attach_to_former(module: ModuleType) -> bool:
    """The same in the former trainer of RL."""
    return shape.attached(lambda: _attach(module.RayPPOTrainer, RL), CANNOT)


def attach_to_sft(module: ModuleType) -> bool:
    """The same in verl's trainer of SFT."""
    return shape.attached(lambda: _attach(module.SFTTrainer, SFT), CANNOT)


def _attach(trainer: Any, name: str) -> None:
    if hasattr(trainer, MARK):
        return
    original = trainer.__init__

    @functools.wraps(original)
    def construct(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        tell_config(name, config)
        original(self, config, *args, **kwargs)

    trainer.__init__ = construct
    setattr(trainer, MARK, True)


def tell_config(name: str, config: Any) -> None:
    """Write the configuration `name`; nothing where no wrapper started the run. Of processes that
    torchrun started, the first one tells. Whatever is wrong with it, the run goes on."""
    directory = os.environ.get(RUN_DIR)
    if not directory or os.environ.get("RANK", "0") != "0":
        return
    shape.attached(lambda: _tell(directory, name, config), CANNOT)


def _tell(directory: str, name: str, config: Any) -> None:
    data = {"name": name, "config": _without(_plain(config), [*_secrets()])}
    Lines(Attempt.at(directory).provenance).append({"part": "config", "data": data})


def _plain(config: Any) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:  # an interpolation that nobody needs leads nowhere
        return OmegaConf.to_container(config, resolve=False)


def _secrets() -> Iterator[str]:
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and name.upper().endswith(SECRET):
            yield value


def _without(value: Any, secrets: list[str]) -> Any:
    """The value as JSON has it, without secrets."""
    if isinstance(value, dict):
        return {str(key): _without(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without(inner, secrets) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text
