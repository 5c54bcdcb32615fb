"""What transformers' own caches keep of a sequence, counted after a real pass.

    environments/verl-0.9/.venv/bin/python tests/node/sampling_caches.py

writes the data file that the platform's own count is held against, which has no torch.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

KEPT = Path(__file__).parents[1] / "compute/sizing/transformers_caches.json"
TOKENS = 40
SMALL = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 8,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
WINDOW = {"sliding_window": 16}
DELTA = {
    "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {
    "num_key_value_heads": 4, "head_dim": 8, "q_lora_rank": 24, "kv_lora_rank": 32,
    "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12, "n_routed_experts": 4,
    "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_group": 1, "topk_group": 1,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "llama": {}, "cohere2": WINDOW, "exaone4": WINDOW, "gemma2": WINDOW, "gemma3_text": WINDOW,
    "gpt_oss": {**WINDOW, "num_local_experts": 4}, "mistral": WINDOW, "olmo3": WINDOW,
    "qwen3_5_text": DELTA,
    "qwen3_next": {**DELTA, **EXPERTS, "shared_expert_intermediate_size": 32},
    "lfm2": {"full_attn_idxs": [2, 5, 7]}, "minimax": {"num_local_experts": 4},
    "deepseek_v3": LATENT,
}  # fmt: skip


def kept(model_type: str, told: dict[str, Any]) -> dict[str, Any]:
    """The configuration as it is saved, and the elements that its cache holds of one sequence."""
    config = AutoConfig.for_model(model_type, **{**SMALL, **told})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        ids = torch.ones(1, TOKENS, dtype=torch.int64)
        cache = model(input_ids=ids, use_cache=True).past_key_values
    layers = [*cache.layers, *getattr(cache, "linear_cache", [])]
    saved = config.to_diff_dict()
    saved.pop("transformers_version", None)
    return {"config": saved, "tokens": TOKENS, "elements": sum(map(_elements, layers))}


def _elements(layer: Any) -> int:
    """Of a layer's keys and values or states; MiniMax lists some of its states as they are."""
    held = [layer, *getattr(layer, "__dict__", {}).values()]
    return sum(one.numel() for one in held if isinstance(one, torch.Tensor) and one.dim() > 1)


def lines() -> list[str]:
    return [json.dumps(kept(*case), sort_keys=True) for case in CASES.items()]


if __name__ == "__main__":
    KEPT.write_text("[\n" + ",\n".join(lines()) + "\n]\n", encoding="utf-8")
