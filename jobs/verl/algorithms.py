"""The algorithms: what each is called, what data it reads, and what starts it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Algorithm:
    """``target`` names the data it reads: ``sft``, ``dpo`` or ``rl``.

    ``torchrun`` ones start one process a device themselves; the others hand that to Ray.
    ``config`` names its Hydra configuration, whose keys are dumped per release.
    ``module`` is what Python runs with ``-m``; releases of verl before the latest have no plug-in
    point for it and run verl's own ``plain_module`` instead, where there is one.
    """

    label: str
    target: str
    config: str
    module: str
    torchrun: bool = False
    plain_module: str = ""


RL_MODULE = "verl.trainer.main_ppo"
ALGORITHMS: Mapping[str, Algorithm] = {
    "sft": Algorithm(
        "SFT", "sft", "sft_trainer_engine", "trainyard_node.sft", True, "verl.trainer.sft_trainer"
    ),
    "dpo": Algorithm("DPO", "dpo", "dpo_trainer", "trainyard_node.dpo", torchrun=True),
    "ppo": Algorithm("PPO", "rl", "ppo_trainer", RL_MODULE),
    "grpo": Algorithm("GRPO", "rl", "ppo_trainer", RL_MODULE),
    "gspo": Algorithm("GSPO", "rl", "ppo_trainer", RL_MODULE),
}
SUPERVISED = tuple(name for name, kind in ALGORITHMS.items() if kind.target != "rl")
RL = tuple(name for name, kind in ALGORITHMS.items() if kind.target == "rl")


def is_rl(kind: str) -> bool:
    return kind in RL


def labels() -> dict[str, str]:
    """The label of each algorithm by its name, for people to choose from."""
    return {name: algorithm.label for name, algorithm in ALGORITHMS.items()}


def has_answers(kind: str) -> bool:
    """Whether the data are prompts, whose answers the run makes itself."""
    return algorithm_of(kind).target == "rl"


def algorithm_of(kind: str) -> Algorithm:
    """Raises ``KeyError`` for a kind of job that is no training."""
    return ALGORITHMS[kind]
