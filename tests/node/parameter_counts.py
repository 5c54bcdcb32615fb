"""How many parameters transformers' own classes have, counted on the meta device.

    environments/verl-0.9/.venv/bin/python tests/node/parameter_counts.py

writes the data file that the platform's own count is held against, which has no torch.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.initialization import no_init_weights

KEPT = Path(__file__).parents[1] / "compute/sizing/transformers_counts.json"
FAMILIES = [
    "arcee", "cohere", "cohere2", "deepseek_v2", "deepseek_v3", "ernie4_5", "ernie4_5_moe",
    "exaone4", "falcon", "gemma", "gemma2", "gemma3_text", "glm", "glm4", "glm4_moe",
    "glm4_moe_lite", "gpt2", "gpt_neox", "gpt_oss", "granite", "granitemoe", "hunyuan_v1_dense",
    "hunyuan_v1_moe", "hy_v3", "lfm2", "llama", "minimax", "minimax_m2", "ministral", "ministral3",
    "mistral", "mixtral", "nemotron", "olmo", "olmo2", "olmo3", "olmoe", "phi", "phi3", "phimoe",
    "qwen2", "qwen2_moe", "qwen3", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_moe", "qwen3_next",
    "seed_oss", "smollm3", "solar_open", "stablelm", "starcoder2",
]  # fmt: skip
SMALL = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 5,
    "num_attention_heads": 4, "max_position_embeddings": 256, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
SWITCHES = (
    "attention_bias", "attention_out_bias", "bias", "block_auto_adjust_ff_dim", "conv_bias",
    "lm_head_bias", "mlp_bias", "multi_query", "new_decoder_architecture", "parallel_attn",
    "qk_layernorm", "qkv_bias", "tie_word_embeddings", "use_bias", "use_parallel_residual",
    "use_qk_norm", "use_qkv_bias",
)  # fmt: skip
# Each where the class has such a key.
SIZES: dict[str, Any] = {
    "num_key_value_heads": 2, "head_dim": 24, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1,
    "q_lora_rank": None, "first_k_dense_replace": 2, "decoder_sparse_step": 2,
    "mlp_only_layers": [1, 4], "moe_layer_interval": 2, "moe_layer_end_index": 3,
    "moe_num_shared_experts": 1, "n_shared_experts": 3, "shared_expert_intermediate_size": 40,
    "full_attn_idxs": [1, 3], "linear_num_value_heads": 8, "linear_key_head_dim": 16,
    "block_ffn_dim_multiplier": 0.5, "conv_L_cache": 4, "n_inner": 100, "ffn_hidden_size": 100,
}  # fmt: skip
# What fails without being told.
NEEDED = {
    "glm4_moe": {"head_dim": 16}, "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16}, "ministral": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 4},
}  # fmt: skip


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """A model type and what is set of it: few layers, or small sizes and one thing besides."""
    for model_type in FAMILIES:
        has = AutoConfig.for_model(model_type)
        needed = NEEDED.get(model_type, {})
        yield model_type, {"num_hidden_layers": 5, **needed}
        small = {**SMALL, **needed}
        if "num_key_value_heads" in vars(has):
            small["num_key_value_heads"] = 4
        for key in SWITCHES:
            if isinstance(getattr(has, key, None), bool):
                yield model_type, {**small, key: not getattr(has, key)}
        for key, value in SIZES.items():
            if key in vars(has):
                yield model_type, {**small, key: value}


def counted(model_type: str, told: dict[str, Any]) -> dict[str, Any]:
    """The configuration as it is saved, and the elements of its parts."""
    config = AutoConfig.for_model(model_type, **told)
    with torch.device("meta"), no_init_weights():
        model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    sizes = {name: each.numel() for name, each in model.named_parameters()}
    layers: dict[int, int] = {}
    for name, size in sizes.items():
        if found := re.search(r"\.(?:layers|h)\.(\d+)\.", name):
            layers[int(found[1])] = layers.get(int(found[1]), 0) + size
    saved = config.to_diff_dict()
    saved.pop("transformers_version", None)
    return {
        "config": saved,
        "total": sum(sizes.values()),
        "embedding": model.get_input_embeddings().weight.numel(),
        "layers": [layers[at] for at in sorted(layers)],
        "experts": sum(size for name, size in sizes.items() if is_of_experts(name)),
    }


def is_of_experts(name: str) -> bool:
    return re.search(r"\.experts\.|block_sparse_moe\.(in|out)put_linear", name) is not None


def lines() -> list[str]:
    return [json.dumps(counted(*case), sort_keys=True) for case in cases()]


if __name__ == "__main__":
    KEPT.write_text("[\n" + ",\n".join(lines()) + "\n]\n", encoding="utf-8")
