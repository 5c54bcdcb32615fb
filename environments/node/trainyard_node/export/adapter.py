"""A LoRA adapter in a merged state: folded into the weights that it changes, or kept beside them.

verl's own merger leaves it out of the weights. A layer with an adapter has the weight
`W + alpha / r * B A` (Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 4.1).
"""

import re
from collections.abc import Mapping
from typing import Any

from trainyard_node.export.refused import Refused

PART = re.compile(r"(.+)\.lora_([AB])\.[^.]+\.weight")
PREFIX = "base_model.model."


TIED = (
    "The adapter changes the output head, which this model shares with its embedding: folded in, "
    "the change would be lost or would change both. Keep the adapter beside the base model."
)


def adapter_names(state: Mapping[str, Any]) -> list[str]:
    """The names of the adapter's tensors in a state, in order."""
    return sorted(name for name in state if "lora_" in name)


def fold(state: dict[str, Any], facts: dict[str, Any]) -> int:
    """Add the adapter to the weights of `state`, in place, and give all tensors the names that the
    model itself has. Returns how many weights were changed.

    `facts` are `r` and `lora_alpha` as verl saved them. Raises Refused unless the adapter
    consists of pairs of matrices, each for a weight of the model: no other can be folded.
    """
    scale = scale_of(facts)
    layers = pairs(state)
    for layer, (down, up) in layers.items():
        name = f"{layer}.base_layer.weight"
        weight = state.get(name)
        if weight is None or weight.ndim != 2:
            raise Refused(f"The adapter of {plain(layer)} has no weight to be added to.")
        if tuple(weight.shape) != (up.shape[0], down.shape[1]):
            raise Refused(f"The adapter of {plain(layer)} does not fit its weight.")
        change = up.float() @ down.float() * scale
        state[name] = (weight.float() + change).to(weight.dtype)
    for name in adapter_names(state):
        del state[name]
    _rename(state)
    return len(layers)


def plain(name: str) -> str:
    """A tensor's name as the model itself has it."""
    for suffix in ("weight", "bias"):
        name = name.replace(f".base_layer.{suffix}", f".{suffix}")
    return name.removeprefix(PREFIX)


def scale_of(facts: dict[str, Any]) -> float:
    """`alpha / r`. Raises Refused where the checkpoint does not say both: verl's merger would then
    write an adapter that does nothing."""
    rank, alpha = facts.get("r"), facts.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float) or not alpha:
        raise Refused(
            "The checkpoint does not say the rank and the alpha of its adapter "
            "(lora_train_meta.json), without which the adapter means nothing."
        )
    return alpha / rank


def pairs(state: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """By layer, the matrices A and B of its adapter. Raises Refused where one has no other."""
    found: dict[str, dict[str, Any]] = {}
    odd = []
    for name in adapter_names(state):
        if match := PART.fullmatch(name):
            found.setdefault(match[1], {})[match[2]] = state[name]
        else:
            odd.append(name)
    odd += [layer for layer, parts in found.items() if len(parts) != 2]
    if odd:
        raise Refused(
            f"{len(odd)} tensors of the adapter cannot be folded into the weights, the first is "
            f"{odd[0]}. Keep the adapter beside them."
        )
    return {layer: (parts["A"], parts["B"]) for layer, parts in found.items()}


def _rename(state: dict[str, Any]) -> None:
    for name in list(state):
        state[plain(name)] = state.pop(name)
