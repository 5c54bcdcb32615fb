"""Which of the metrics that an algorithm logs matter most, in the order of a run's page."""

import re
from collections.abc import Iterable, Mapping, Sequence

from jobs.verl.algorithms import RL

# verl puts the scores of validation under it, by the name of the data, which is any. In these lists
# it stands for the scores that a run has.
VALIDATION = "val-core/"
MOST_VALIDATED = 6  # scores that stand first, where a run validates on many data sets
SCORE = re.compile(r"val-core/(?P<data>.+)/(?P<of>[^/]+)/(?P<how>mean@\d+|(?:best|maj)@\d+/mean)")

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
    VALIDATION,
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
# Without a penalty in it the reward is the score, and one chart of both is enough.
TWINS: Mapping[str, str] = {"critic/rewards/mean": "critic/score/mean"}
# How many tokens a step has trained on: verl's RL trainers, and those of SFT and DPO.
TOKENS = ("perf/total_num_tokens", "train/global_tokens")


def scores_among(names: Iterable[str]) -> list[str]:
    """The scores of validation among these metrics: for each data set the mean over the answers, or
    else the first there is."""
    found: dict[tuple[str, str], tuple[bool, str]] = {}
    for name in names:
        if told := SCORE.fullmatch(name):
            ranked = not told["how"].startswith("mean"), name
            key = told["data"], told["of"]
            found[key] = min(found.get(key, ranked), ranked)
    return sorted(name for _, name in found.values())[:MOST_VALIDATED]


def in_its_group(name: str) -> str:
    """What a metric is called below its prefix. What an evaluation of a checkpoint found begins
    with a long name of the prompts, which comes last: a narrow chart shows the beginning."""
    prefix, _, rest = name.partition("/")
    of_set, _, figure = rest.partition("/")
    return f"{figure} · {of_set}" if prefix == "eval" and ":" in of_set else rest or name


def label_of(name: str) -> str:
    """What a key metric is called: a score of validation in words, any other by its own name."""
    told = SCORE.fullmatch(name)
    return f"Validation score, {told['data']}" if told else name
