"""Methods of group-relative RL, with the verl settings that each paper requires.

A variant is a set of Hydra keys that precede the knobs, so that a knob set by hand replaces them.
``adv_estimator`` and ``loss_mode`` are names in verl's ``core_algos`` registries.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.verl.keys import ACTOR
from jobs.verl.spec import Value

ESTIMATOR = "algorithm.adv_estimator"
LOSS_MODE = f"{ACTOR}.policy_loss.loss_mode"
AGGREGATE = f"{ACTOR}.loss_agg_mode"
KL_LOSS = f"{ACTOR}.use_kl_loss"
KL_REWARD = "algorithm.use_kl_in_reward"
LOW, HIGH = f"{ACTOR}.clip_ratio_low", f"{ACTOR}.clip_ratio_high"


@dataclass(frozen=True)
class Variant:
    """``grouped``: the method compares the answers to a prompt, so it needs two or more of them.

    ``source`` is the paper that ``settings`` are taken from; ``note`` is for the user.
    """

    name: str
    label: str
    source: str
    settings: Mapping[str, Value]
    grouped: bool = True
    note: str = ""


NO_KL: dict[str, Value] = {KL_LOSS: False, KL_REWARD: False}

GRPO = Variant(
    "grpo", "GRPO", "DeepSeekMath, arXiv:2402.03300", {ESTIMATOR: "grpo"},
)  # fmt: skip
DAPO = Variant(
    "dapo", "DAPO", "arXiv:2503.14476",
    # Clip-higher 0.2 / 0.28, token-mean loss, dynamic sampling, no KL. Separate knobs set the
    # penalty for long answers, since its buffer depends on the answer length.
    {
        ESTIMATOR: "grpo", AGGREGATE: "token-mean", LOW: 0.2, HIGH: 0.28,
        f"{ACTOR}.clip_ratio_c": 10.0, "algorithm.filter_groups.enable": True, **NO_KL,
    },
    note="Set the penalty for long answers under Reward.",
)  # fmt: skip
DR_GRPO = Variant(
    "dr_grpo", "Dr. GRPO", "arXiv:2503.20783",
    # It divides by a constant, not by the group's deviation or the answer's length.
    {
        ESTIMATOR: "grpo", "algorithm.norm_adv_by_std_in_grpo": False,
        AGGREGATE: "seq-mean-token-sum-norm", **NO_KL,
    },
)  # fmt: skip
RLOO = Variant(
    "rloo", "RLOO", "arXiv:2402.14740",
    # The mean of the other answers is the baseline; the KL is part of the reward.
    {ESTIMATOR: "rloo", KL_LOSS: False, KL_REWARD: True},
)  # fmt: skip
REINFORCE_PP = Variant(
    "reinforce_plus_plus", "REINFORCE++", "arXiv:2501.03262",
    # One answer is enough: advantages are normalised over the whole batch; token-wise KL reward.
    {ESTIMATOR: "reinforce_plus_plus", KL_LOSS: False, KL_REWARD: True},
    grouped=False,
)  # fmt: skip
REINFORCE_PP_BASELINE = Variant(
    "reinforce_plus_plus_baseline", "REINFORCE++ with baseline", "arXiv:2501.03262",
    # The group's mean is subtracted first, then the batch's; the KL is a loss with the k2
    # estimator.
    {
        ESTIMATOR: "reinforce_plus_plus_baseline", KL_LOSS: True, f"{ACTOR}.kl_loss_type": "mse",
        KL_REWARD: False,
    },
)  # fmt: skip
REMAX = Variant(
    "remax", "ReMax", "arXiv:2310.10505",
    # The greedy answer's reward is the baseline. verl's newer trainer does not sample that answer.
    {ESTIMATOR: "remax", KL_LOSS: False, KL_REWARD: True, "trainer.use_v1": False},
    grouped=False,
    note="Runs on verl's former trainer: the newer one does not sample the greedy baseline.",
)  # fmt: skip
OPO = Variant(
    "opo", "OPO", "arXiv:2505.23585",
    # Exactly on-policy, with the length-weighted mean as the baseline; no KL, no entropy bonus.
    {ESTIMATOR: "opo", f"{ACTOR}.entropy_coeff": 0.0, **NO_KL},
    note="Meant to be exactly on-policy: let the mini batch be the whole batch.",
)  # fmt: skip
GPG = Variant(
    "gpg", "GPG", "arXiv:2504.02546",
    # The plain policy gradient: no ratio, no clipping, no KL.
    {ESTIMATOR: "gpg", LOSS_MODE: "gpg", **NO_KL},
)  # fmt: skip
CISPO = Variant(
    "cispo", "CISPO", "MiniMax-M1, arXiv:2506.13585",
    # The importance weight is clipped and not differentiated; the lower bound never applies.
    {ESTIMATOR: "grpo", LOSS_MODE: "cispo", LOW: 10.0, HIGH: 0.2, **NO_KL},
)  # fmt: skip
GMPO = Variant(
    "gmpo", "GMPO", "arXiv:2507.20673",
    # The geometric mean of token ratios, clipped in log space to (e^-0.4, e^0.4).
    {ESTIMATOR: "grpo", LOSS_MODE: "geo_mean", LOW: 0.4, HIGH: 0.4, **NO_KL},
    note="verl takes the mean in each micro batch and adds them up: fewer micro batches, "
    "smaller steps.",
)  # fmt: skip

VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        GRPO, DAPO, DR_GRPO, RLOO, REINFORCE_PP, REINFORCE_PP_BASELINE, REMAX, OPO, GPG, CISPO, GMPO
    )
}  # fmt: skip

# The settings that define PPO and GSPO, which have no variants.
PPO = Variant("ppo", "PPO", "arXiv:1707.06347", {ESTIMATOR: "gae"}, grouped=False)
GSPO = Variant(
    "gspo", "GSPO", "arXiv:2507.18071",
    # Ratio and clipping for each sequence; the paper's clip range is (3e-4, 4e-4).
    {
        ESTIMATOR: "grpo", LOSS_MODE: "gspo", AGGREGATE: "seq-mean-token-mean",
        LOW: 3e-4, HIGH: 4e-4,
    },
)  # fmt: skip


def variant_of(kind: str, chosen: object) -> Variant | None:
    """The method of a run: fixed for PPO and GSPO, chosen for GRPO, None for SFT and DPO."""
    if kind == "grpo":
        return VARIANTS[str(chosen or "grpo")]
    return {"ppo": PPO, "gspo": GSPO}.get(kind)


def methods_of(kind: str) -> list[Variant]:
    """All methods that a kind of run may have."""
    if kind == "grpo":
        return [*VARIANTS.values()]
    return [method for method in [variant_of(kind, None)] if method]
