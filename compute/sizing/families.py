"""What the code of a model family fixes, and what it takes where ``config.json`` is silent.

Both are taken from the configuration and modelling code of transformers 5.10. A model type that is
not listed here is unknown: what its file does not state is then not assumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from compute.sizing.config_file import ConfigError, ModelConfig

QkNorm = Literal["none", "head", "all heads"]
"""A norm on queries and keys: none, one over a head's dimensions, or one over all heads at once."""


@dataclass(frozen=True)
class Family:
    """``…_bias`` and ``qk_norm`` are fixed by the code, or named by the key that decides.

    ``tied`` is whether embedding and output head are one matrix, where the file does not say.
    ``expert_layers`` says how a mixture of experts finds its layers; None for a dense model.
    ``windowed`` says in which layers a token sees no more than a window of those before it.
    """

    tied: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    qkv_bias: bool | str = False
    output_bias: bool | str = False
    mlp_bias: bool | str = False
    head_bias: bool = False
    qk_norm: QkNorm | str = "none"
    gated_mlp: bool = True
    expert_layers: Literal["all", "stepped", "after the first"] | None = None
    windowed: Literal["none", "all", "late", "early", "all but each nth"] = "none"


# The key that decides, and what it is where it is not there.
_ATTENTION_BIAS = {"attention_bias": False}
_GEMMA = {"head_dim": 256, **_ATTENTION_BIAS}
_QWEN_WINDOW = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
_QWEN_EXPERTS = {"decoder_sparse_step": 1, "mlp_only_layers": []}

FAMILIES: dict[str, Family] = {
    "llama": Family(
        defaults={**_ATTENTION_BIAS, "mlp_bias": False},
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias",
    ),
    "mistral": Family(
        defaults={"num_key_value_heads": 8, "sliding_window": 4096}, windowed="all",
    ),
    "mixtral": Family(
        defaults={
            "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
            "sliding_window": None,
        },
        expert_layers="all", windowed="all",
    ),
    "qwen2": Family(
        defaults={"num_key_value_heads": 32, **_QWEN_WINDOW}, qkv_bias=True, windowed="late",
    ),
    "qwen2_moe": Family(
        defaults={
            "num_key_value_heads": 16, "num_experts": 60, "num_experts_per_tok": 4,
            "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632,
            "qkv_bias": True, **_QWEN_EXPERTS, **_QWEN_WINDOW,
        },
        qkv_bias="qkv_bias", expert_layers="stepped", windowed="early",
    ),
    "qwen3": Family(
        defaults={
            "num_key_value_heads": 32, "head_dim": 128, **_ATTENTION_BIAS, **_QWEN_WINDOW,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head", windowed="late",
    ),
    "qwen3_moe": Family(
        defaults={
            "num_key_value_heads": 4, "num_experts": 128, "num_experts_per_tok": 8,
            "moe_intermediate_size": 768, **_ATTENTION_BIAS, **_QWEN_EXPERTS,
            "use_sliding_window": False, "sliding_window": 4096,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head",
        expert_layers="stepped", windowed="all",
    ),
    "deepseek_v3": Family(
        defaults={
            **_ATTENTION_BIAS, "first_k_dense_replace": 3, "n_routed_experts": 256,
            "n_shared_experts": 1, "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
            "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", expert_layers="after the first",
    ),
    "gemma": Family(
        tied=True, defaults={"num_key_value_heads": 16, **_GEMMA},
        qkv_bias="attention_bias", output_bias="attention_bias",
    ),
    "gemma2": Family(
        tied=True,
        defaults={
            "num_key_value_heads": 4, "sliding_window": 4096, "sliding_window_pattern": 2, **_GEMMA,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", windowed="all but each nth",
    ),
    "gemma3_text": Family(
        tied=True,
        defaults={
            "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 262208,
            "sliding_window": 4096, "sliding_window_pattern": 6,
            "max_position_embeddings": 131072, **_GEMMA,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head",
        windowed="all but each nth",
    ),
    "phi": Family(
        defaults={"qk_layernorm": False}, qkv_bias=True, output_bias=True, mlp_bias=True,
        head_bias=True, qk_norm="qk_layernorm", gated_mlp=False,
    ),
    "phi3": Family(defaults={"sliding_window": None}, windowed="all"),
    "glm": Family(
        defaults={"num_key_value_heads": 2, "head_dim": 128, "attention_bias": True},
        qkv_bias="attention_bias",
    ),
    "glm4": Family(
        defaults={"num_key_value_heads": 2, "head_dim": 128, "attention_bias": True},
        qkv_bias="attention_bias",
    ),
    "glm4_moe": Family(
        defaults={
            "num_key_value_heads": 8, **_ATTENTION_BIAS, "use_qk_norm": False,
            "first_k_dense_replace": 1, "n_routed_experts": 128, "n_shared_experts": 1,
            "num_experts_per_tok": 8, "moe_intermediate_size": 1408,
        },
        qkv_bias="attention_bias", qk_norm="use_qk_norm", expert_layers="after the first",
    ),
    "olmo2": Family(
        defaults=_ATTENTION_BIAS, qkv_bias="attention_bias", output_bias="attention_bias",
        qk_norm="all heads",
    ),
}  # fmt: skip


def decided(config: ModelConfig, rule: bool | str) -> bool:
    """A rule of a family: fixed, or what the key says that it names. Raises ``ConfigError``."""
    if isinstance(rule, bool):
        return rule
    value = config.flag(rule)
    if value is None:
        raise ConfigError(f"config.json does not say {rule}.", rule)
    return value


def qk_norm_of(config: ModelConfig, family: Family) -> QkNorm:
    """Raises ``ConfigError``."""
    rule = family.qk_norm
    if rule in ("none", "head", "all heads"):
        return rule  # type: ignore[return-value]  # mypy does not narrow a literal by ``in``
    return "head" if decided(config, rule) else "none"
