"""Questions that the tests of times ask."""

from dataclasses import replace

from compute.sizing.facts import ModelFacts, read_facts
from compute.sizing.gpus import find
from compute.sizing.question import Engine, Lengths, Question, Rollout, Update
from tests.compute.sizing.configs import LLAMA_3_8B, QWEN_3_8B, QWEN_3_30B_A3B

LLAMA = read_facts(LLAMA_3_8B)
QWEN = read_facts(QWEN_3_8B)
MIXTURE = read_facts(QWEN_3_30B_A3B)


def sft(gpu: str = "h100-80g", gpus: int = 8, model: ModelFacts = LLAMA) -> Question:
    """Two rows of 8,192 tokens for each GPU."""
    return Question(
        algorithm="sft",
        gpu=find(gpu),
        gpus=gpus,
        per_node=8,
        actor=Engine(model, shards=gpus),
        update=Update(tokens=16384, mean_tokens=16384),
        lengths=Lengths(8192, 8192, 0, 0, "data"),
        rows=2 * gpus,
    )


def grpo(gpu: str = "h100-80g", gpus: int = 8, model: ModelFacts = QWEN) -> Question:
    """128 prompts of 256 tokens, 8 answers of 1,024 tokens each, in four optimizer steps."""
    engine = Engine(model, shards=gpus)
    tokens = 128 * 8 * (256 + 1024) // gpus
    return Question(
        algorithm="grpo",
        gpu=find(gpu),
        gpus=gpus,
        per_node=8,
        actor=engine,
        update=Update(tokens=16384, mean_tokens=tokens / 16, micro_batches=4, steps=4),
        lengths=Lengths(256, 1024, 1024, 4096, "runs"),
        rows=128,
        answers=8,
        reference=replace(engine, param_offload=True),
        rollout=Rollout("vllm", tensor_parallel=1, memory_share=0.6),
        log_prob_tokens=32768,
    )
