"""The families without experts. See ``Family`` for the words."""

from compute.sizing.family import Family

# The key that decides, and what it is where it is not there.
_ATTENTION_BIAS = {"attention_bias": False}
_BOTH_BIASES = {**_ATTENTION_BIAS, "mlp_bias": False}
_GEMMA = {"head_dim": 256, **_ATTENTION_BIAS}
_QWEN_WINDOW = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
_DELTA = {
    "full_attention_interval": 4, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
    "linear_value_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
}  # fmt: skip

DENSE: dict[str, Family] = {
    "llama": Family(
        defaults=_BOTH_BIASES,
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias",
    ),
    "arcee": Family(
        defaults=_BOTH_BIASES, gated_mlp=False,
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias",
    ),
    "cohere": Family(
        tied=True, defaults={**_ATTENTION_BIAS, "use_qk_norm": False}, norms=1,
        qkv_bias="attention_bias", output_bias="attention_bias",
        qk_norm="use_qk_norm", keyed_norm="all heads",
    ),
    "cohere2": Family(
        tied=True,
        defaults={**_ATTENTION_BIAS, "sliding_window": 4096, "sliding_window_pattern": 4},
        qkv_bias="attention_bias", output_bias="attention_bias", norms=1,
        windowed="all but each nth",
    ),
    "ernie4_5": Family(
        tied=True, defaults={"num_key_value_heads": 2, "head_dim": 128, "use_bias": False},
        qkv_bias="use_bias", output_bias="use_bias", mlp_bias="use_bias",
    ),
    "exaone4": Family(
        defaults={"sliding_window": 4096, "sliding_window_pattern": 4}, qk_norm="head",
        windowed="all but each nth",
    ),
    "falcon": Family(
        tied=True,
        defaults={
            "parallel_attn": True, "multi_query": True, "new_decoder_architecture": False,
            "bias": False,
        },
        qkv_bias="bias", output_bias="bias", mlp_bias="bias", gated_mlp=False,
        width="ffn_hidden_size", parallel="parallel_attn", norm="scale and shift",
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
        norms=4,
    ),
    "gemma3_text": Family(
        tied=True,
        defaults={
            "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 262208,
            "sliding_window": 4096, "sliding_window_pattern": 6,
            "max_position_embeddings": 131072, **_GEMMA,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head",
        windowed="all but each nth", norms=4,
    ),
    "glm": Family(
        defaults={"num_key_value_heads": 2, "head_dim": 128, "attention_bias": True},
        qkv_bias="attention_bias",
    ),
    "glm4": Family(
        defaults={"num_key_value_heads": 2, "head_dim": 128, "attention_bias": True},
        qkv_bias="attention_bias", norms=4,
    ),
    "gpt2": Family(
        tied=True, qkv_bias=True, output_bias=True, mlp_bias=True, gated_mlp=False,
        width="n_inner", norm="scale and shift", learned_positions=True, groups_heads=False,
    ),
    "gpt_neox": Family(
        defaults={"attention_bias": True}, qkv_bias="attention_bias",
        output_bias="attention_bias", mlp_bias=True, gated_mlp=False, norm="scale and shift",
        groups_heads=False,
    ),
    "granite": Family(
        defaults=_BOTH_BIASES,
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias",
    ),
    "hunyuan_v1_dense": Family(
        defaults=_ATTENTION_BIAS, qkv_bias="attention_bias", output_bias="attention_bias",
        qk_norm="head",
    ),
    "lfm2": Family(
        tied=True,
        defaults={
            "num_key_value_heads": 8, "conv_bias": False, "conv_L_cache": 3,
            "block_multiple_of": 256, "block_ffn_dim_multiplier": 1.0,
            "block_auto_adjust_ff_dim": True,
        },
        qk_norm="head", mixer="convolution",
    ),
    "ministral": Family(
        defaults={"num_key_value_heads": 8, "sliding_window": 4096}, windowed="all",
    ),
    "ministral3": Family(
        defaults={"num_key_value_heads": 8, "head_dim": 128, "sliding_window": None},
        windowed="all",
    ),
    "mistral": Family(
        defaults={"num_key_value_heads": 8, "sliding_window": 4096}, windowed="all",
    ),
    "nemotron": Family(
        defaults=_BOTH_BIASES, gated_mlp=False, norm="scale and shift",
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias",
    ),
    "olmo": Family(
        defaults=_ATTENTION_BIAS, qkv_bias="attention_bias", output_bias="attention_bias",
        norm="nothing",
    ),
    "olmo2": Family(
        defaults=_ATTENTION_BIAS, qkv_bias="attention_bias", output_bias="attention_bias",
        qk_norm="all heads",
    ),
    "olmo3": Family(
        defaults={**_ATTENTION_BIAS, "sliding_window": 4096, "sliding_window_pattern": 4},
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="all heads",
        windowed="all but each nth",
    ),
    "phi": Family(
        defaults={"qk_layernorm": False}, qkv_bias=True, output_bias=True, mlp_bias=True,
        head_bias=True, qk_norm="qk_layernorm", gated_mlp=False, norms=1,
        norm="scale and shift",
    ),
    "phi3": Family(defaults={"sliding_window": None}, windowed="all"),
    "qwen2": Family(
        defaults={"num_key_value_heads": 32, **_QWEN_WINDOW}, qkv_bias=True, windowed="late",
    ),
    "qwen3": Family(
        defaults={
            "num_key_value_heads": 32, "head_dim": 128, **_ATTENTION_BIAS, **_QWEN_WINDOW,
        },
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head", windowed="late",
    ),
    "qwen3_5_text": Family(
        defaults={"num_key_value_heads": 4, "head_dim": 256, **_ATTENTION_BIAS, **_DELTA},
        qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="head",
        gates_attention=True, mixer="delta rule",
    ),
    "seed_oss": Family(
        defaults={
            "num_key_value_heads": 8, "head_dim": 128, "attention_bias": True,
            "attention_out_bias": False, "mlp_bias": False,
        },
        qkv_bias="attention_bias", output_bias="attention_out_bias", mlp_bias="mlp_bias",
    ),
    "smollm3": Family(
        tied=True,
        defaults={"num_key_value_heads": 4, "use_sliding_window": False, **_BOTH_BIASES},
        qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias",
    ),
    "stablelm": Family(
        defaults={
            "num_key_value_heads": 32, "use_qkv_bias": False, "qk_layernorm": False,
            "use_parallel_residual": False,
        },
        qkv_bias="use_qkv_bias", qk_norm="qk_layernorm", keyed_norm="all heads",
        qk_learns="scale", parallel="use_parallel_residual", norm="scale and shift",
    ),
    "starcoder2": Family(
        tied=True, defaults={"num_key_value_heads": 2, "use_bias": True, "sliding_window": None},
        qkv_bias="use_bias", output_bias="use_bias", mlp_bias="use_bias", gated_mlp=False,
        norm="scale and shift", windowed="all",
    ),
}  # fmt: skip
