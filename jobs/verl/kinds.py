"""The kinds of run: the name, the data and the module of each."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """``target`` names the data: ``sft``, ``dpo`` or ``rl``.

    ``torchrun`` kinds start one process for each device themselves; the others leave that to Ray.
    Python runs ``module`` with ``-m``; releases of verl before the latest have no plug-in point for
    it and run verl's own ``plain_module`` instead, where there is one.
    """

    label: str
    target: str
    module: str
    torchrun: bool = False
    plain_module: str = ""


RL_MODULE = "verl.trainer.main_ppo"
KINDS: Mapping[str, Kind] = {
    "sft": Kind("SFT", "sft", "trainyard_node.sft", True, "verl.trainer.sft_trainer"),
    "dpo": Kind("DPO", "dpo", "trainyard_node.dpo", torchrun=True),
    "ppo": Kind("PPO", "rl", RL_MODULE),
    "grpo": Kind("GRPO", "rl", RL_MODULE),
    "gspo": Kind("GSPO", "rl", RL_MODULE),
}
SUPERVISED = tuple(name for name, kind in KINDS.items() if kind.target != "rl")
RL = tuple(name for name, kind in KINDS.items() if kind.target == "rl")


def is_rl(kind: str) -> bool:
    return kind in RL
