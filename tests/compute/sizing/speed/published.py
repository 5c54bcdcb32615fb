"""Rows that others measured and published, as questions, and what the estimate says of them.

Nothing in the estimate is set by a row. Where a source is silent, the row says what was assumed:
verl's documentation does not tell the mean length of the answers of Qwen2.5-Math-7B, so it is the
one input that is taken from a row's own figure (``MATH_ANSWER``), and eight other figures follow.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from compute.sizing.facts import ModelFacts, read_facts
from compute.sizing.gpus import Gpu, find
from compute.sizing.question import Engine, Lengths, Question, Rollout, Update
from compute.sizing.speed.times import time_of
from tests.compute.sizing.configs import DEEPSEEK_V3, LLAMA_3_8B, QWEN_3_30B_A3B

TITAN = "pytorch/torchtitan, benchmarks/llama3_h100_202412_torchtitan.md"
TITAN_A100 = "pytorch/torchtitan, docs/performance.md before June 2025"
VERL = "volcengine/verl b178a3c, docs/perf/dpsk.md, and the script that it names"
VERL_ASYNC = (
    "volcengine/verl 2147009, docs/advance/fully_async.md, colocate sync; settings: "
    "recipe/fully_async_policy/exp/qwen2-7B-math_32 at 9199f56, _64 at 9280c11, _128 at 7f837ac"
)

LLAMA_8B = read_facts(LLAMA_3_8B)
LLAMA_70B = read_facts({
    **LLAMA_3_8B, "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64,
    "num_hidden_layers": 80,
})  # fmt: skip
LLAMA_2_13B = read_facts({
    "model_type": "llama", "hidden_size": 5120, "intermediate_size": 13824, "vocab_size": 32000,
    "num_attention_heads": 40, "num_hidden_layers": 40, "num_key_value_heads": 40,
})  # fmt: skip
MATH_7B = read_facts({
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "vocab_size": 152064,
    "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4,
    "tie_word_embeddings": False, "use_sliding_window": False,
})  # fmt: skip
QWEN_MOE = read_facts(QWEN_3_30B_A3B)
DEEPSEEK = read_facts(DEEPSEEK_V3)

# torchtitan: "96GB HBM2e with 2.4 TB/sec", "the default 500W power limit".
LIMITED_H100 = replace(find("h100-80g"), bandwidth=2.4e12, power=500)
A100 = find("a100-80g")
H20 = find("h20-96g")
# Tokens of a mean answer of Qwen2.5-Math-7B; see ``test_published``.
MATH_ANSWER = 1654.0


@dataclass(frozen=True)
class Row:
    """``published`` and ``estimated`` are rates, seconds or shares, as ``unit`` says. ``within`` is
    the factor that is asked of the row; ``note`` says what the question cannot say."""

    name: str
    source: str
    published: float
    estimated: float
    unit: str
    within: float
    is_covered: bool
    note: str = ""

    @property
    def off(self) -> float:
        """The factor between the two, 1 or more."""
        ratio = self.estimated / self.published
        return max(ratio, 1 / ratio)


def pretraining(
    model: ModelFacts, gpu: Gpu, gpus: int, batch: int, length: int, keeps: bool
) -> Question:
    """``batch`` rows of one length for each GPU, FSDP2 over all of them."""
    tokens = batch * length
    return Question(
        algorithm="sft", gpu=gpu, gpus=gpus, per_node=8,
        actor=Engine(model, shards=gpus, checkpointing=not keeps),
        update=Update(tokens, tokens), lengths=Lengths(length, length, 0, 0, "data"),
        rows=gpus * batch,
    )  # fmt: skip


def rate(
    model: ModelFacts, gpu: Gpu, gpus: int, batch: int, length: int, recomputes: float
) -> float:
    """Tokens a second and GPU. ``recomputes`` is the share of the forward pass that is computed
    again: 0, 1, or a half for torchtitan's selective checkpointing by operation, which keeps every
    other product."""
    kept, again = (
        time_of(pretraining(model, gpu, gpus, batch, length, keeps)).seconds
        for keeps in (True, False)
    )
    return batch * length / ((1 - recomputes) * kept + recomputes * again)


def titan_rows() -> list[Row]:
    told: list[tuple[str, str, float, ModelFacts, Gpu, int, int, int, float]] = [
        ("Llama 3.1 8B, 8 H100 at 500 W", TITAN, 5762, LLAMA_8B, LIMITED_H100, 8, 2, 8192, 0.5),
        ("Llama 3.1 8B, 128 H100 at 500 W", TITAN, 5605, LLAMA_8B, LIMITED_H100, 128, 2, 8192, 0.5),
        ("Llama 3 8B, 64 A100", TITAN_A100, 2973, LLAMA_8B, A100, 64, 1, 8192, 0.5),
        ("Llama 2 13B, 64 A100, nothing recomputed", TITAN_A100, 2162, LLAMA_2_13B, A100, 64, 2,
         4096, 0.0),
        ("Llama 2 13B, 64 A100", TITAN_A100, 1904, LLAMA_2_13B, A100, 64, 2, 4096, 0.5),
        ("Llama 3 70B, 64 A100", TITAN_A100, 331, LLAMA_70B, A100, 64, 1, 8192, 1.0),
    ]  # fmt: skip
    return [
        Row(name, source, published, rate(model, gpu, gpus, batch, length, again), "tokens/s/GPU",
            1.25, True)
        for name, source, published, model, gpu, gpus, batch, length, again in told
    ]  # fmt: skip


def math(gpus: int, answer: float = MATH_ANSWER) -> Question:
    """DAPO on Qwen2.5-Math-7B as the three scripts ``fsdp2_colocate`` have it: 512 prompts, 16
    answers of up to 28 k tokens, 16 optimizer steps, Ulysses over 4, shards over 2, weights and
    moments offloaded, rollout on 4."""
    engine = Engine(
        MATH_7B, shards=2, replicas=gpus // 2, sequence_parallel=4, param_offload=True,
        optimizer_offload=True,
    )  # fmt: skip
    prompt, limit = 200, 30 * 1024 * 2 * 4
    tokens = 32 * 16 * (prompt + answer) / (gpus / 4)
    micro = max(1, round(tokens / (0.8 * limit)))
    return Question(
        algorithm="grpo", gpu=H20, gpus=gpus, per_node=8, actor=engine,
        update=Update(limit, tokens / micro, micro, steps=16),
        lengths=Lengths(prompt, 2048, answer, 28 * 1024, "runs"), rows=512, answers=16,
        rollout=Rollout("vllm", tensor_parallel=4, memory_share=0.8, most_batched_tokens=30720),
        log_prob_tokens=limit * 3 // 2,
    )  # fmt: skip


# Seconds of the phases. Later versions of the page (ca44f95) have 269.80 as the update on 32, and
# 313.81 as that of 16 GPUs beside 16 that sample, whose whole step takes 294.77: they were swapped.
# With 313.81 the phases leave 11 s of a step of 790.10, as they do on 64 and on 128.
MATH_FIGURES = {
    32: {"rollout": 357.41, "log_prob": 107.71, "update": 313.81},
    64: {"rollout": 150.72, "log_prob": 70.26, "update": 133.41},
    128: {"rollout": 177.85, "log_prob": 53.92, "update": 113.81},
}


def math_rows() -> list[Row]:
    note = "the mean length of answers is not told; it is fitted to the update on 32 GPUs"
    return [
        Row(f"Qwen2.5-Math-7B, {gpus} H20, {phase}", VERL_ASYNC, published,
            time_of(math(gpus)).phases[phase], "s", 1.5, False, note)
        for gpus, figures in MATH_FIGURES.items()
        for phase, published in figures.items()
    ]  # fmt: skip


def mixture(gpus: int) -> Question:
    """Qwen3-30B-A3B as ``run_qwen3moe-30b_megatron_96gb.sh``, but with FSDP2 in place of Megatron's
    expert parallelism: micro batches of 10 k tokens, 2 k answers assumed."""
    tokens = 10240
    micro = max(1, round(128 * 16 * 2300 / tokens / gpus))
    return Question(
        algorithm="grpo", gpu=H20, gpus=gpus, per_node=8, actor=Engine(QWEN_MOE, shards=gpus),
        update=Update(tokens, tokens, micro, synced=False, steps=4),
        lengths=Lengths(300, 2048, 2000, 8192), rows=512, answers=16,
        rollout=Rollout("vllm", tensor_parallel=4, memory_share=0.7, eager=True,
                        most_batched_tokens=tokens),
        log_prob_tokens=tokens,
    )  # fmt: skip


def deepseek() -> Question:
    """DeepSeek-671B as ``run_deepseek671b_math_megatron_96gb.sh``, but with FSDP2 in place of
    Megatron's pipeline: 96 prompts, 8 answers of 1,960 tokens, rollout on 32 GPUs."""
    tokens = 11680
    micro = max(1, round(32 * 8 * 2260 / tokens / 96))
    return Question(
        algorithm="grpo", gpu=H20, gpus=96, per_node=8, actor=Engine(DEEPSEEK, shards=96),
        update=Update(tokens, tokens, micro, steps=3),
        lengths=Lengths(300, 2048, 1960, 9632, "runs"), rows=96, answers=8,
        rollout=Rollout("vllm", tensor_parallel=32, memory_share=0.6, eager=True,
                        most_batched_tokens=tokens),
        log_prob_tokens=tokens,
    )  # fmt: skip


def megatron_rows() -> list[Row]:
    note = (
        "Megatron with expert or pipeline parallelism, which a question cannot say: FSDP2 instead"
    )
    rows = [
        Row(f"Qwen3-30B-A3B, {gpus} H20, MFU", VERL, mfu, time_of(mixture(gpus)).mfu or 0.0, "",
            1.5, False, note)
        for gpus, mfu in ((8, 0.40), (16, 0.37), (32, 0.31))
    ]  # fmt: skip
    time = time_of(deepseek())
    rows.append(
        Row("DeepSeek-671B, 96 H20, MFU", VERL, 0.19, time.mfu or 0.0, "", 1.5, False, note)
    )
    rows.append(
        Row("DeepSeek-671B, 96 H20, rollout", VERL, 1050, time.phases["rollout"], "s", 1.5, False,
            note)
    )  # fmt: skip
    return rows


PARTS: tuple[Callable[[], list[Row]], ...] = (titan_rows, math_rows, megatron_rows)


def rows() -> list[Row]:
    return [row for part in PARTS for row in part()]
