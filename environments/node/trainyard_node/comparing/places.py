"""Where a tensor is in a model: in which layer, and in which module."""

import re

from trainyard_node.merge.layout import LAYER

EMBED, HEAD, NORMS = "embed", "lm_head", "norms"
IS_EMBED = re.compile(r"(^|\.)(embed_\w+|wte|wpe|word_embeddings|embeddings)\.")
IS_NORM = re.compile(r"(norm|(^|\.)ln_\w+|layernorm)", re.IGNORECASE)
EXPERT = re.compile(r"(^|\.)experts\.(\d+\.)?")


def place_of(name: str) -> tuple[int | None, str]:
    """The layer's number, None outside of the layers, and the module.

    A module is the last part of a name before weight and bias, such as q_proj. All norms are one
    module, and so is the same projection of all experts of a layer.
    """
    match = LAYER.match(name)
    layer, rest = (int(match[2]), match[3].lstrip(".")) if match else (None, name)
    if IS_EMBED.search(rest):
        return layer, EMBED
    if IS_NORM.search(rest):
        return layer, NORMS
    parts = rest.split(".")
    module = parts[-2] if parts[-1] in ("weight", "bias") and len(parts) > 1 else parts[-1]
    if EXPERT.search(rest):
        return layer, f"experts.{module}"
    if "shared_expert" in parts:
        return layer, f"shared_expert.{module}"
    return layer, module
