"""A model's configuration with fewer layers, experts and heads. Plain dictionaries, no torch."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

LAYERS, EXPERTS, CHOSEN, WIDTH, INNER, RANK = 2, 4, 2, 64, 256, 64
Config = dict[str, Any]
# At most so much, where the configuration has the field.
MOST = {
    "intermediate_size": INNER, "moe_intermediate_size": INNER, "ffn_dim": INNER,
    "shared_expert_intermediate_size": INNER, "intermediate_size_mlp": INNER,
    "num_experts": EXPERTS, "num_local_experts": EXPERTS, "n_routed_experts": EXPERTS,
    "num_experts_per_tok": CHOSEN, "n_shared_experts": 1, "n_group": 1, "topk_group": 1,
    "q_lora_rank": RANK, "kv_lora_rank": RANK, "first_k_dense_replace": 1,
    "num_nextn_predict_layers": 0, "max_window_layers": LAYERS,
}  # fmt: skip
DEEP = ("num_hidden_layers", "n_layer", "num_layers")
HEADS, KV_HEADS = "num_attention_heads", "num_key_value_heads"


def cuts(config: Mapping[str, Any]) -> Iterator[Config]:
    """Smaller configurations, the smallest first: a model's code may refuse one of them.

    All keep what positions depend on: the size of a head. The last one cuts the layers only.
    """
    yield _cut(config, WIDTH)
    yield _cut(config, None)
    yield _fewer_layers(copy.deepcopy(dict(config)))


def _cut(config: Mapping[str, Any], width: int | None) -> Config:
    """``width`` is the new hidden size; None takes as much as the heads that are left need."""
    found = _fewer_layers(copy.deepcopy(dict(config)))
    for inner in ("text_config", "thinker_config"):
        if isinstance(found.get(inner), dict):
            found[inner] = _cut(found[inner], width)
    for name, most in MOST.items():
        if type(found.get(name)) is int:
            found[name] = min(found[name], most)
    _fewer_heads(found, width)
    return found


def _fewer_layers(config: Config) -> Config:
    """The first layers, and of each sort of layer at least one."""
    depth = next((config[name] for name in DEEP if type(config.get(name)) is int), None)
    if depth is None:
        return config
    kept = min(depth, LAYERS)
    for name, value in config.items():
        if name.endswith("layer_types") and isinstance(value, list) and len(value) == depth:
            last = max(value.index(sort) for sort in set(value))
            kept = max(kept, min(depth, last + 1))
    for name, value in config.items():
        if isinstance(value, list) and len(value) == depth and depth > kept:
            config[name] = value[:kept]
        if name in DEEP:
            config[name] = kept
    return config


def _fewer_heads(config: Config, width: int | None) -> None:
    heads, hidden = config.get(HEADS), config.get("hidden_size")
    if not isinstance(heads, int) or not isinstance(hidden, int) or heads < 1:
        return
    shared = config.get(KV_HEADS) or heads
    size = config.get("head_dim") or hidden // heads
    left = min(shared, 2)
    config[HEADS] = left * min(max(1, heads // shared), 2)
    if config.get(KV_HEADS):
        config[KV_HEADS] = left
    if width is None:
        config["hidden_size"] = config[HEADS] * size
    else:
        config["hidden_size"] = min(hidden, width)
        if "kv_lora_rank" not in config:  # there the parts of a head have sizes of their own
            config["head_dim"] = size
