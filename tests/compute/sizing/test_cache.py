"""What a sequence keeps while it is sampled, against figures counted by hand and transformers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compute.sizing.cache import cache_of, reserved
from compute.sizing.estimate import rollout_starts
from compute.sizing.facts import read_facts
from compute.sizing.memory.ledger import memory_of
from compute.sizing.memory.rollout import one_row
from compute.sizing.question import Engine, Lengths, Rollout
from compute.sizing.speed import kernels
from compute.sizing.speed.rollout import sampled
from compute.sizing.speed.shapes import shape_of
from tests.compute.sizing.configs import DEEPSEEK_V3, GEMMA_2_2B, GEMMA_3_4B, LLAMA_3_8B
from tests.compute.sizing.memory.test_ledger import PPO

CASES = json.loads(Path(__file__).with_name("transformers_caches.json").read_text("utf-8"))
GPT_OSS_20B = {
    "model_type": "gpt_oss", "head_dim": 64, "hidden_size": 2880, "intermediate_size": 2880,
    "num_attention_heads": 64, "num_hidden_layers": 24, "num_key_value_heads": 8,
    "num_local_experts": 32, "sliding_window": 128, "vocab_size": 201088,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
}  # fmt: skip
QWEN_3_NEXT = {
    "model_type": "qwen3_next", "head_dim": 256, "hidden_size": 2048, "intermediate_size": 5120,
    "num_attention_heads": 16, "num_hidden_layers": 48, "num_key_value_heads": 2,
    "vocab_size": 151936,
}  # fmt: skip
LFM_2 = {
    "model_type": "lfm2", "hidden_size": 2048, "block_ff_dim": 12288, "num_attention_heads": 32,
    "num_hidden_layers": 16, "num_key_value_heads": 8, "vocab_size": 65536, "conv_L_cache": 3,
    "full_attn_idxs": [2, 5, 8, 10, 12, 14],
}  # fmt: skip
MISTRAL = {
    "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "head_dim": 128,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "sliding_window": 4096, "vocab_size": 32000,
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[one["config"]["model_type"] for one in CASES])
def test_as_many_elements_as_the_cache_of_transformers(case: dict[str, Any]) -> None:
    cache = cache_of(read_facts(case["config"]), expands=True)

    assert cache.kept(case["tokens"], 1, 1) == case["elements"]


@pytest.mark.parametrize(
    ("config", "tokens", "batch", "wanted"),
    [
        # 32 layers of 2 x 8 x 128 elements in bf16, 192 blocks.
        (LLAMA_3_8B, 3072, 8192, 32 * 4096 * 3072),
        # 13 layers see all 8,192 tokens; 13 keep 4,095 and the 2,048 of a step: 384 blocks and one.
        (GEMMA_2_2B, 8192, 2048, 13 * 4096 * 16 * (512 + 385)),
        # 5 layers see all, 29 a window of 1,024: 6 groups of 5, of 577 blocks each.
        (GEMMA_3_4B, 32768, 8192, 5 * 4096 * 16 * (2048 + 6 * 577)),
        # 12 layers see all, 12 keep 127 tokens and those of a step.
        (GPT_OSS_20B, 16384, 2048, 12 * 2048 * 16 * (1024 + 137)),
        # Every layer has a window.
        (MISTRAL, 32768, 4096, 32 * 4096 * 16 * 513),
        # 12 layers have attention, 36 a state of 32 x 128 x 128 + 4 x 8,192 elements; vLLM's blocks
        # are of 544 tokens, so that one holds a state.
        (QWEN_3_NEXT, 262144, 8192, 12 * 2048 * 544 * (482 + 3)),
        # 6 layers have attention, 10 a convolution over 3 tokens: 2 groups of 6.
        (LFM_2, 4096, 8192, 6 * 2048 * 16 * (256 + 2)),
        # One vector of 512 + 64 elements for all heads.
        (DEEPSEEK_V3, 4096, 8192, 61 * 2 * 576 * 4096),
    ],
    ids=["full", "half", "gemma-3", "gpt-oss", "all", "delta rule", "convolution", "latent"],
)
def test_what_vllm_reserves_of_one_row(
    config: dict[str, Any], tokens: int, batch: int, wanted: int
) -> None:
    assert reserved(cache_of(read_facts(config)), tokens, batch, 1, 2) == wanted


def test_tensor_parallelism_shares_heads_and_states_but_no_latent_vector() -> None:
    def one(config: dict[str, Any], ways: int) -> float:
        return cache_of(read_facts(config)).kept(1000, ways, 2)

    assert one(LLAMA_3_8B, 4) == one(LLAMA_3_8B, 1) / 4
    assert one(LLAMA_3_8B, 16) == one(LLAMA_3_8B, 1) / 8
    assert one(DEEPSEEK_V3, 8) == one(DEEPSEEK_V3, 1)
    attention, states = 12 * 2048 * 1000, 36 * 2 * 557_056
    assert one(QWEN_3_NEXT, 4) == attention / 2 + states / 4


def test_a_row_that_only_fits_beside_windows_lets_vllm_start_and_sglang_not() -> None:
    """34 layers of 4,096 bytes would need 18 GB of 131,072 tokens, 5 of them and windows 3.9."""
    model = read_facts(GEMMA_3_4B)
    asked = replace(
        PPO, actor=Engine(model, shards=8), reference=None, lengths=Lengths(1, 65536, 1, 65536),
        rollout=Rollout("vllm", memory_share=0.3),
    )  # fmt: skip

    assert rollout_starts(asked, memory_of(asked))
    other = replace(asked, rollout=Rollout("sglang", memory_share=0.3))
    assert one_row(other, Rollout("sglang")) == 34 * 4096 * 131072
    assert not rollout_starts(other, memory_of(other))


def test_weights_in_fp8_leave_keys_and_values_in_bf16() -> None:
    rollout = Rollout("vllm", tensor_parallel=2)
    assert one_row(PPO, replace(rollout, dtype="fp8")) == one_row(PPO, rollout)


def test_more_sequences_of_a_hybrid_model_run_at_once() -> None:
    """As if all 48 layers had attention, 2.3 times fewer would."""
    whole = {**QWEN_3_NEXT, "layer_types": ["full_attention"] * 48}
    card = kernels.card_of(PPO.gpu)
    asked = Lengths(1024, 1024, 16384, 16384), 4096, 1, 8

    hybrid, full = (
        sampled(card, shape_of(read_facts(one)), Rollout("vllm", tensor_parallel=8), *asked, 8)
        for one in (QWEN_3_NEXT, whole)
    )

    assert hybrid.running > 2 * full.running
