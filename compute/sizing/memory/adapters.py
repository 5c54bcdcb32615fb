"""LoRA's adapters: which projections have one, and how many elements they add to a layer."""

from compute.sizing.memory.shape import Shape
from compute.sizing.question import Lora

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def adapted(lora: Lora | None) -> frozenset[str]:
    """The projections with an adapter; verl's ``all-linear`` are all but the output head."""
    if lora is None:
        return frozenset()
    return frozenset(one.rsplit(".", 1)[-1] for one in lora.modules or LINEARS) & set(LINEARS)


def elements(shape: Shape, lora: Lora | None) -> int:
    """Of one layer: the rank times the widths of each adapted matrix."""
    if lora is None:
        return 0
    hidden, inner = shape.hidden, shape.intermediate
    widths = {
        "q_proj": hidden + shape.queries, "k_proj": hidden + shape.keys,
        "v_proj": hidden + shape.keys, "o_proj": shape.queries + hidden,
        "gate_proj": hidden + inner, "up_proj": hidden + inner, "down_proj": inner + hidden,
    }  # fmt: skip
    if shape.experts:  # their matrices are no linear layers in transformers 5
        for name in ("gate_proj", "up_proj", "down_proj"):
            widths[name] = 0
    return lora.rank * sum(widths[name] for name in adapted(lora))
