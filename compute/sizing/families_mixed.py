"""The families with a mixture of experts. See ``Family`` for the words."""

from compute.sizing.families_dense import DENSE
from compute.sizing.family import Family

_ATTENTION_BIAS = {"attention_bias": False}
_QWEN_EXPERTS = {"decoder_sparse_step": 1, "mlp_only_layers": []}
_LATENT = {
    "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}  # fmt: skip
_DELTA = DENSE["qwen3_5_text"].defaults

MIXED: dict[str, Family] = {
    "deepseek_v2": Family(
        defaults={
            **_ATTENTION_BIAS, "mlp_bias": False, "first_k_dense_replace": 0,
            "n_routed_experts": 64, "n_shared_experts": 2, "moe_intermediate_size": 1407, **_LATENT,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias",
        expert_layers="after the first",
    ),
    "deepseek_v3": Family(
        defaults={
            **_ATTENTION_BIAS, "first_k_dense_replace": 3, "n_routed_experts": 256,
            "n_shared_experts": 1, "num_experts_per_tok": 8, "moe_intermediate_size": 2048,
            **_LATENT,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", expert_layers="after the first",
    ),
    "ernie4_5_moe": Family(
        tied=True,
        defaults={
            "num_key_value_heads": 4, "use_bias": False, "moe_intermediate_size": 1536,
            "moe_k": 6, "moe_num_experts": 64, "moe_num_shared_experts": 2,
            "moe_layer_start_index": 1, "moe_layer_end_index": -1, "moe_layer_interval": 1,
        },
        qkv_bias="use_bias", output_bias="use_bias", mlp_bias="use_bias", head_bias="use_bias",
        expert_layers="ranged", router_bias=True, routes_narrow=True,
    ),
    "glm4_moe": Family(
        defaults={
            "num_key_value_heads": 8, **_ATTENTION_BIAS, "use_qk_norm": False,
            "first_k_dense_replace": 1, "n_routed_experts": 128, "n_shared_experts": 1,
            "num_experts_per_tok": 8, "moe_intermediate_size": 1408,
        },
        qkv_bias="attention_bias", qk_norm="use_qk_norm", expert_layers="after the first",
    ),
    "glm4_moe_lite": Family(
        defaults={
            **_ATTENTION_BIAS, "n_routed_experts": 64, "n_shared_experts": 1,
            "num_experts_per_tok": 4, "moe_intermediate_size": 1536, **_LATENT,
            "q_lora_rank": 768, "qk_nope_head_dim": 192, "v_head_dim": 256,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", expert_layers="listed",
    ),
    "gpt_oss": Family(
        defaults={
            "num_key_value_heads": 8, "head_dim": 64, "attention_bias": True,
            "num_local_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128,
            "sliding_window_pattern": 2,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", expert_bias=True,
        expert_layers="all", expert_width="intermediate_size", router_bias=True, sinks=True,
        windowed="all but each nth", routes_narrow=True,
    ),
    "granitemoe": Family(
        defaults={**_ATTENTION_BIAS, "num_local_experts": 8, "num_experts_per_tok": 2},
        qkv_bias="attention_bias", output_bias="attention_bias",
        expert_layers="all", expert_width="intermediate_size", routes_narrow=True,
    ),
    "hunyuan_v1_moe": Family(
        defaults={**_ATTENTION_BIAS, "num_experts": 1, "moe_topk": 1},
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head",
        expert_layers="all", expert_width="intermediate_size", shared_is_dense=True,
    ),
    "hy_v3": Family(
        defaults={
            "num_key_value_heads": 8, "head_dim": 128, **_ATTENTION_BIAS, "mlp_bias": False,
            "num_experts": 192, "num_experts_per_tok": 8, "num_shared_experts": 1,
            "moe_intermediate_size": 1536,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias",
        qk_norm="head", expert_layers="listed",
    ),
    "minimax": Family(
        defaults={
            "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
            "full_attention_interval": 2,
        },
        expert_layers="all", expert_width="intermediate_size", mixer="lightning",
    ),
    "minimax_m2": Family(
        defaults={
            "num_key_value_heads": 8, "head_dim": 128, "num_local_experts": 256,
            "num_experts_per_tok": 8,
        },
        qk_norm="all heads", expert_layers="all", expert_width="intermediate_size",
    ),
    "mixtral": Family(
        defaults={
            "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
            "sliding_window": None,
        },
        expert_layers="all", expert_width="intermediate_size", windowed="all",
    ),
    "olmoe": Family(
        defaults={**_ATTENTION_BIAS, "num_experts": 64, "num_experts_per_tok": 8},
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="all heads",
        expert_layers="all", expert_width="intermediate_size", routes_narrow=True,
    ),
    "phimoe": Family(
        defaults={
            "num_key_value_heads": 8, **_ATTENTION_BIAS, "lm_head_bias": False,
            "num_local_experts": 16, "num_experts_per_tok": 2, "sliding_window": None,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", head_bias="lm_head_bias",
        expert_layers="all", expert_width="intermediate_size", norm="scale and shift",
        windowed="all",
    ),
    "qwen2_moe": Family(
        defaults={
            "num_key_value_heads": 16, "num_experts": 60, "num_experts_per_tok": 4,
            "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632,
            "qkv_bias": True, **_QWEN_EXPERTS,
            "use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28,
        },
        qkv_bias="qkv_bias", expert_layers="stepped", windowed="early", gates_shared=True,
        routes_narrow=True,
    ),
    "qwen3_moe": Family(
        defaults={
            "num_key_value_heads": 4, "num_experts": 128, "num_experts_per_tok": 8,
            "moe_intermediate_size": 768, **_ATTENTION_BIAS, **_QWEN_EXPERTS,
            "use_sliding_window": False, "sliding_window": 4096,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head",
        expert_layers="stepped", windowed="all", routes_narrow=True,
    ),
    "qwen3_next": Family(
        defaults={
            **_DELTA, "num_key_value_heads": 2, "num_experts": 512, "num_experts_per_tok": 10,
            "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, **_QWEN_EXPERTS,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head",
        expert_layers="stepped", gates_shared=True, gates_attention=True, mixer="delta rule",
        routes_narrow=True,
    ),
    "qwen3_5_moe_text": Family(
        defaults={
            **_DELTA, "num_key_value_heads": 2, "num_experts": 256, "num_experts_per_tok": 8,
            "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head",
        expert_layers="all", gates_shared=True, gates_attention=True, mixer="delta rule",
        routes_narrow=True,
    ),
    "solar_open": Family(
        defaults={
            "num_key_value_heads": 8, "head_dim": 128, **_ATTENTION_BIAS, "n_routed_experts": 128,
            "n_shared_experts": 1, "num_experts_per_tok": 8, "moe_intermediate_size": 1280,
        },
        qkv_bias="attention_bias", expert_layers="all",
    ),
}  # fmt: skip
