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
        made = AutoConfig.for_model(model_type, **SIZES, num_key_value_heads=2)
        assert compared(read_facts(made.to_diff_dict())) == of_class(made), model_type


def test_a_short_configuration_reads_as_transformers_completes_it() -> None:
    """Heads of keys and values, head size, tying and windows are the family's where none is told.

    Those whose own default of eight or more heads cannot share this model's four are left out.
    """
    for model_type in FAMILIES:
        made = AutoConfig.for_model(model_type, **SIZES)
        if 4 % made.num_key_value_heads == 0:
            short = {"model_type": model_type, **SIZES}
            # The base of rotary positions is told, or unknown: nobody trains on a class's own.
            found = compared(read_facts(short)) | {"theta": None}
            assert found == of_class(made) | {"theta": None}, model_type


def compared(facts: ModelFacts) -> dict[str, Any]:
    return {
        "kv_heads": facts.kv_heads,
        "tied": facts.tied,
        "head_dim": None if facts.latent else facts.head_dim,
        "theta": facts.rope.theta if facts.rope else None,
        "experts": facts.experts.count if facts.experts else None,
        "per_token": facts.experts.per_token if facts.experts else None,
        "kv_rank": facts.latent.kv_rank if facts.latent else None,
        "window": facts.window.size if facts.window else None,
    }


def of_class(made: Any) -> dict[str, Any]:
    rope = made.rope_parameters
    kinds = getattr(made, "layer_types", None) or []
    windowed = not kinds or "sliding_attention" in kinds
    head_dim = getattr(made, "head_dim", None) or made.hidden_size // made.num_attention_heads
    is_latent = hasattr(made, "kv_lora_rank")
    experts = next(
        (getattr(made, key) for key in ("num_experts", "num_local_experts") if hasattr(made, key)),
        None,
    )
    return {
        "kv_heads": made.num_key_value_heads,
        "tied": made.tie_word_embeddings,
        "head_dim": None if is_latent else head_dim,
        "theta": rope.get("full_attention", rope)["rope_theta"],
        "experts": experts,
        "per_token": getattr(made, "num_experts_per_tok", None),
        "kv_rank": getattr(made, "kv_lora_rank", None),
        "window": (getattr(made, "sliding_window", None) or None) if windowed else None,
    }
