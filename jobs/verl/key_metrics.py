"""Which of the metrics that an algorithm logs matter most, in the order of a run's page."""

from collections.abc import Mapping, Sequence

from jobs.verl.algorithms import RL

SFT = ("train/loss", "val/loss", "train/grad_norm")
DPO = (
    "train/loss",
    "val/loss",
    "train/rewards/accuracy",
    "train/rewards/margin",
    "val/rewards/accuracy",
    "train/grad_norm",
    "timing_s/step",
)
# PPO logs those of a value function, and so do GRPO and GSPO where an override gives them a critic.
BY_PPO_TRAINER = (
    "critic/score/mean",
    "critic/rewards/mean",
    "critic/vf_loss",
    "critic/vf_explained_var",
    "actor/entropy",
    "actor/ppo_kl",
    "actor/grad_norm",
    "response_length/mean",
    "actor/pg_clipfrac",
    "perf/throughput",
    "timing_s/step",
)
KEY_METRICS: Mapping[str, Sequence[str]] = {
    "sft": SFT,
    "dpo": DPO,
    **dict.fromkeys(RL, BY_PPO_TRAINER),
}
