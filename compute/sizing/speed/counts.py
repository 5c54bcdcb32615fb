"""How many floating point operations a model makes, as verl's ``utils/flops_counter.py`` counts."""

from functools import lru_cache

from compute.sizing.speed.shapes import Layer, Shape

COUNTED = (
    "verl's count: the update of the actor alone, 6 FLOPs a token and weight with the embedding "
    "look-up as a product, causal attention, against the card's dense bf16"
)


@lru_cache(maxsize=4096)
def trained_flops(shape: Shape, length: int) -> float:
    """FLOPs of forward and backward for a token of sequences of ``length``; nothing recomputed."""
    weights = 2 * shape.vocab * shape.hidden
    weights += sum(layer.count * _used(shape, layer) for layer in shape.layers)
    seen = 3 * length * shape.heads * (shape.head_dim + shape.value_dim) * shape.depth
    return 6.0 * weights + seen


def _used(shape: Shape, layer: Layer) -> int:
    used = sum(n * k for n, k, _ in layer.products)
    if layer.mixture:
        used += 3 * layer.mixture.per_token * layer.mixture.width * shape.hidden
    return used
