"""Questions to plan for: one SFT and one GRPO job, whose parts a test replaces."""

from collections.abc import Mapping
from typing import Any

from compute.sizing.facts import read_facts
from compute.sizing.gpus import catalogue
from compute.sizing.question import Engine, Lengths, Question, Rollout, Update
from tests.compute.sizing import configs

H100 = catalogue()["h100-80g"]


def sft(config: Mapping[str, Any] = configs.QWEN_3_8B, gpus: int = 8) -> Question:
    """64 rows a step of 900 tokens in the mean and 4,096 at most."""
    total = 64 * 900 / gpus
    return Question(
        "sft", H100, gpus, min(8, gpus),
        actor=Engine(read_facts(config), gpus),
        update=Update(8192, total / -(-total // 8192), int(-(-total // 8192))),
        lengths=Lengths(900, 4096, 0, 0), rows=64,
    )  # fmt: skip


def grpo(config: Mapping[str, Any] = configs.QWEN_3_8B, gpus: int = 8) -> Question:
    """128 prompts of 300 tokens, 8 answers of 1,200 each."""
    model, total = read_facts(config), 128 * 8 * 1500 / gpus
    count = int(-(-total // 8192))
    return Question(
        "grpo", H100, gpus, min(8, gpus),
        actor=Engine(model, gpus), reference=Engine(model, gpus),
        update=Update(8192, total / count, count),
        lengths=Lengths(300, 1024, 1200, 4096), rows=128, answers=8,
        rollout=Rollout("vllm", 2), log_prob_tokens=16384,
    )  # fmt: skip
