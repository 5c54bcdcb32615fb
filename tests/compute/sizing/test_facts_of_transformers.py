"""The facts of each known family agree with the configuration class of transformers itself."""

from typing import Any

from transformers import AutoConfig

from compute.sizing.facts import ModelFacts, read_facts
from compute.sizing.families import FAMILIES

SIZES = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
    "num_attention_heads": 4, "max_position_embeddings": 256,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def test_a_saved_configuration_reads_as_the_class_that_saved_it() -> None:
    """What a class leaves out when it saves, as its own defaults, is known all the same."""
    for model_type in FAMILIES:
        grouped = {"num_key_value_heads": 2} if groups_heads(model_type) else {}
        made = AutoConfig.for_model(model_type, **SIZES, **grouped)
        told = of_class(made)
        assert compared(read_facts(made.to_diff_dict()), told) == told, model_type


def test_a_short_configuration_reads_as_transformers_completes_it() -> None:
    """Heads of keys and values, head size, tying and windows are the family's where none is told.

    Those whose own default of eight or more heads cannot share this model's four are left out.
    """
    for model_type in FAMILIES:
        made = AutoConfig.for_model(model_type, **SIZES)
        told = of_class(made)
        if 4 % (told.get("kv_heads") or 4) == 0:
            # The base of rotary positions is told, or unknown: nobody trains on a class's own.
            told.pop("theta", None)
            short = {"model_type": model_type, **SIZES}
            assert compared(read_facts(short), told) == told, model_type


def groups_heads(model_type: str) -> bool:
    """Falcon keeps a number of its own; older models have none."""
    return hasattr(AutoConfig.for_model(model_type), "num_key_value_heads")


def compared(facts: ModelFacts, told: dict[str, Any]) -> dict[str, Any]:
    """Of what a class tells."""
    found = {
        "kv_heads": facts.kv_heads,
        "tied": facts.tied,
        "head_dim": None if facts.latent else facts.head_dim,
        "theta": facts.rope.theta if facts.rope else None,
        "experts": facts.experts.count if facts.experts else None,
        "per_token": facts.experts.per_token if facts.experts else None,
        "kv_rank": facts.latent.kv_rank if facts.latent else None,
        "window": facts.window.size if facts.window else None,
        "windowed": facts.window.layers if facts.window else 0,
        "without attention": facts.mixer.layers if facts.mixer else (),
        "expert layers": len(facts.experts.layers or ()) if facts.experts else 0,
    }
    return {key: value for key, value in found.items() if key in told}


def of_class(made: Any) -> dict[str, Any]:
    kinds = getattr(made, "layer_types", None)
    windowed = kinds is None or "sliding_attention" in kinds
    told = {
        "tied": made.tie_word_embeddings,
        "experts": first_of(made, "num_experts", "num_local_experts", "n_routed_experts"),
        "per_token": getattr(made, "num_experts_per_tok", None),
        "kv_rank": getattr(made, "kv_lora_rank", None),
        "window": (getattr(made, "sliding_window", None) or None) if windowed else None,
    }
    if kv_heads := getattr(made, "num_key_value_heads", None):
        told["kv_heads"] = kv_heads
    if told["kv_rank"] is None:
        width = made.hidden_size // made.num_attention_heads
        told["head_dim"] = getattr(made, "head_dim", None) or width
    if rope := getattr(made, "rope_parameters", None):
        told["theta"] = rope.get("full_attention", rope)["rope_theta"]
    if kinds is not None:
        told["windowed"] = kinds.count("sliding_attention") if told["window"] else 0
        others = ("linear_attention", "conv")
        told["without attention"] = tuple(at for at, one in enumerate(kinds) if one in others)
    if feeds := getattr(made, "mlp_layer_types", None):
        told["expert layers"] = feeds.count("sparse")
    return told


def first_of(made: Any, *names: str) -> int | None:
    """``getattr`` follows the class's own map of names."""
    return next((getattr(made, name) for name in names if hasattr(made, name)), None)
