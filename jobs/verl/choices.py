"""Allowed values of settings that verl checks or looks up by name, for each release.

A dumped schema has types but no choices. These values were read in the code of the three releases;
each entry names the file.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.verl.keys import ACTOR, REF, ROLLOUT

OPTIMISERS = ("optim", f"{ACTOR}.optim", "critic.optim")
CHECKPOINTS = ("checkpoint", f"{ACTOR}.checkpoint", "critic.checkpoint")
ESTIMATORS = (
    "gae", "grpo", "grpo_vectorized", "grpo_passk", "gdpo", "reinforce_plus_plus",
    "reinforce_plus_plus_baseline", "remax", "rloo", "rloo_vectorized", "opo", "gpg",
    "optimal_token_baseline", "tir_optimal_token_baseline",
)  # fmt: skip
LOSSES = (
    "vanilla", "dppo_tv", "dppo_kl", "gspo", "sapo", "gpg", "clip_cov", "kl_cov", "geo_mean",
    "cispo", "bypass_mode",
)  # fmt: skip
AGGREGATIONS = (
    "token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm",
)  # fmt: skip
KL = ("kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3")
TRACKERS = (
    "wandb", "mlflow", "swanlab", "vemlp_wandb", "tensorboard", "console", "clearml", "trackio",
    "file",
)  # fmt: skip
STRATEGIES = (
    "engine.strategy", f"{ACTOR}.strategy", f"{REF}.strategy", "critic.strategy",
    f"{ACTOR}.fsdp_config.strategy", f"{REF}.fsdp_config.strategy", "critic.fsdp.strategy",
    "critic.model.fsdp_config.strategy",
)  # fmt: skip


@dataclass(frozen=True)
class Choices:
    """``added`` maps a release to the values that it added; ``place`` is the file in verl.

    ``configs`` are the trainers that the entry applies to; empty means all.
    """

    keys: tuple[str, ...]
    values: tuple[str, ...]
    place: str
    added: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    configs: tuple[str, ...] = ()

    def of(self, release: str) -> tuple[str, ...]:
        later = [more for since, more in self.added.items() if _is_from(release, since)]
        return (*self.values, *(value for more in later for value in more))


def _is_from(release: str, since: str) -> bool:
    return [int(n) for n in release.split(".")] >= [int(n) for n in since.split(".")]


CHOICES = (
    Choices(("algorithm.adv_estimator",), ESTIMATORS, "trainer/ppo/core_algos.py"),
    Choices((f"{ACTOR}.policy_loss.loss_mode",), LOSSES, "trainer/ppo/core_algos.py",
            {"0.9.1": ("dro",)}),
    Choices((f"{ACTOR}.loss_agg_mode", "critic.loss_agg_mode"), AGGREGATIONS,
            "workers/config/actor.py, trainer/ppo/core_algos.py", {"0.9.1": ("token-sum",)}),
    # 0.7.1 finds no estimator for a name with "+": kl_penalty_forward gets it with the plus.
    Choices((f"{ACTOR}.kl_loss_type", "algorithm.kl_penalty"), KL, "trainer/ppo/core_algos.py",
            {"0.8.0": tuple(f"{name}+" for name in KL)}),
    Choices(("algorithm.kl_ctrl.type",), ("fixed", "adaptive"), "trainer/ppo/core_algos.py"),
    # In RL, rl_dataset.py stores it in self.truncation, which nothing reads.
    Choices(("data.truncation",), ("error", "left", "right"),
            "utils/dataset/multiturn_sft_dataset.py",
            configs=("sft_trainer_engine", "dpo_trainer")),
    Choices(("data.pad_mode",), ("right", "no_padding"), "utils/dataset/multiturn_sft_dataset.py"),
    # hf is the CPU rollout that trainyard_node registers; its plug-in point exists since 0.9.
    Choices((f"{ROLLOUT}.name",), ("vllm", "sglang", "trtllm"), "workers/rollout/base.py",
            {"0.9.1": ("hf",)}),
    Choices((f"{ROLLOUT}.mode",), ("async",), "workers/config/rollout.py"),
    Choices(STRATEGIES, ("fsdp", "fsdp2"), "workers/config/engine.py", {"0.9.1": ("fsdp_turbo",)}),
    Choices(tuple(f"{node}.lr_scheduler_type" for node in OPTIMISERS), ("constant", "cosine"),
            "workers/config/optimizer.py"),
    Choices(("trainer.resume_mode",), ("auto", "disable", "resume_path"),
            "trainer/ppo/ray_trainer.py, trainer/ppo/v1/trainer_base.py"),
    Choices(("trainer.logger",), TRACKERS, "utils/tracking.py", {"0.9.1": ("rl_insight",)}),
    Choices(tuple(f"{node}.save_contents" for node in CHECKPOINTS),
            ("model", "optimizer", "extra", "hf_model"),
            "utils/checkpoint/checkpoint_manager.py"),
    Choices(tuple(f"{node}.load_contents" for node in CHECKPOINTS),
            ("model", "optimizer", "extra"), "utils/checkpoint/checkpoint_manager.py",
            {"0.9.1": ("hf_model",)}),
    Choices(("reward.reward_manager.source",), ("register", "importlib"),
            "workers/config/reward.py"),
    Choices(("algorithm.rollout_correction.rollout_is",), ("token", "sequence"),
            "trainer/ppo/rollout_corr_helper.py"),
    Choices((f"{ACTOR}.router_replay.mode",), ("disabled", "R2", "R3"), "workers/config/actor.py"),
    Choices(("trainer.v1.trainer_mode",), ("sync", "colocate_async", "separate_async"),
            "trainer/ppo/v1"),
    Choices(("dpo.loss_type",), ("sigmoid", "ipo", "hinge", "robust"), "trainyard_node/dpo"),
    Choices(("dpo.reference",), ("precomputed", "lora_base"), "trainyard_node/dpo"),
)  # fmt: skip
# Allowed names of a reward manager whose source is register, which is the default.
REWARD_MANAGERS = Choices(
    ("reward.reward_manager.name",), ("naive", "dapo", "gdpo", "rate_limited", "remote"),
    "experimental/reward_loop/reward_manager",
)  # fmt: skip


def choices_for(key: str, config: str) -> Choices | None:
    """The choices of a key, or None where verl takes any value of the type."""
    for choices in CHOICES:
        if key in choices.keys and (not choices.configs or config in choices.configs):
            return choices
    return None


def outside(value: Any, choices: Choices, release: str) -> str | None:
    """The first value that the release refuses, or None. Each item of a list is checked."""
    allowed = choices.of(release)
    return next((item for item in _texts(value) if item not in allowed and "${" not in item), None)


def _texts(value: Any) -> Iterator[str]:
    items: Iterable[Any] = value if isinstance(value, list) else [value]
    return (str(item) for item in items if item is not None)
