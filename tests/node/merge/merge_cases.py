"""What the merge tests share: a rule run over tensors, and small models on the disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from trainyard_node.merge.methods import ALL, METHODS, SHARED
from trainyard_node.merge.passes import merged
from trainyard_node.merge.rules.base import Chunk, Values
from trainyard_node.merge.shape import as_rows

SHAPES = [(37,), (16, 24), (33, 7), (), (5, 3, 4), (1,)]
# By method: the base's index, how many inputs, and the parameters to try.
CASES: list[tuple[str, int | None, int, dict[str, Any]]] = [
    ("linear", None, 3, {"weight": [0.3, 0.5, 0.9]}),
    ("linear", None, 3, {"weight": [0.3, -0.5, 0.9], "normalize": False}),
    ("slerp", 0, 2, {"t": 0.3}),
    ("slerp", 1, 2, {"t": 0.9}),
    ("nuslerp", None, 2, {"weight": [0.3, 0.5]}),
    ("nuslerp", None, 2, {"weight": [1.0, 3.0], "nuslerp_flatten": False}),
    ("nuslerp", 0, 3, {"weight": [0.3, 0.5]}),
    ("nuslerp", 0, 3, {"weight": [1.0, 3.0], "nuslerp_flatten": False}),
    (
        "nuslerp",
        0,
        3,
        {"weight": [1.0, 3.0], "nuslerp_flatten": False, "nuslerp_row_wise": True},
    ),
    ("multislerp", None, 3, {"weight": [0.3, 0.5, 0.9]}),
    ("multislerp", 0, 3, {"weight": [0.3, 0.5], "normalize_weights": False}),
    ("karcher", None, 3, {}),
    ("task_arithmetic", 0, 3, {"weight": [0.3, 0.5]}),
    ("task_arithmetic", 0, 3, {"weight": [0.3, 0.5], "normalize": True, "lambda": 0.7}),
    ("ties", 0, 4, {"weight": [0.3, 0.5, 0.7], "density": 0.4}),
    ("ties", 0, 4, {"weight": [0.3, 0.5, 1.0], "density": [0.3, 0.9, 1.0], "rescale": True}),
    ("ties", 2, 4, {"weight": [0.3, 0.5, 1.0], "density": 0.5, "normalize": False}),
    ("breadcrumbs", 0, 3, {"weight": [0.3, 0.5], "density": 0.5, "gamma": 0.1}),
    ("breadcrumbs", 0, 3, {"weight": [0.3, 0.5], "density": 0.95, "gamma": 0.1, "rescale": True}),
    ("breadcrumbs_ties", 0, 3, {"weight": [0.3, 0.5], "density": 0.5, "gamma": 0.1}),
    ("dare_linear", 0, 3, {"weight": [0.3, 0.5], "density": 1.0}),
    ("dare_ties", 0, 3, {"weight": [0.3, 0.5], "density": 1.0}),
    ("della", 0, 3, {"weight": [0.3, 0.5], "density": 1.0}),
    ("della_linear", 0, 3, {"weight": [0.3, 0.5], "density": 1.0}),
    ("model_stock", 0, 4, {}),
    ("model_stock", 0, 4, {"filter_wise": True}),
    ("sce", 0, 4, {}),
    ("sce", 0, 4, {"select_topk": 0.3}),
    ("ram", 0, 3, {}),
    ("ram", 0, 3, {"epsilon": 0.5}),
    ("ramplus_tl", 0, 3, {"epsilon": 0.5}),
    ("nearswap", 0, 2, {"t": 0.1}),
    ("arcee_fusion", 0, 2, {}),
    ("passthrough", None, 1, {"scale": [2.0]}),
]


def inputs_of(shape: Sequence[int], count: int, base: int | None, seed: int) -> list[Tensor]:
    """Models that lie around one base, in float32."""
    torch.manual_seed(seed)
    centre = torch.randn(shape)
    made = [centre + 0.5 * torch.randn(shape) for _ in range(count)]
    if base is not None:
        made[base] = centre
    return made


def ours(
    name: str,
    tensors: Sequence[Tensor],
    base: int | None,
    given: Mapping[str, Any],
    rows: int = 4,
    seed: int = 0,
) -> Tensor:
    """The tensors merged by a rule, `rows` rows at a time."""
    shape = tuple(tensors[0].shape)
    rule = METHODS[name].rule(values_of(name, len(tensors), base, given, shape, seed))
    flat = [as_rows(each) for each in tensors]
    width = flat[0].shape[1]
    chunks = [
        Chunk([each[first : first + rows] for each in flat], first * width, base)
        for first in range(0, flat[0].shape[0], rows)
    ]
    few = Chunk([each[:2] for each in flat], 0, base)
    return torch.cat([*merged(rule, lambda: iter(chunks), lambda: few)]).reshape(shape)


def values_of(
    name: str, count: int, base: int | None, given: Mapping[str, Any], shape: tuple[int, ...],
    seed: int,
) -> Values:  # fmt: skip
    shared, each = {}, {}
    for parameter in METHODS[name].parameters:
        value = given.get(parameter.name, parameter.default)
        if parameter.of == SHARED:
            shared[parameter.name] = value
        else:
            inputs = count if parameter.of == ALL or base is None else count - 1
            each[parameter.name] = value if isinstance(value, list) else [value] * inputs
    return Values(shape, shared, each, [seed * 1000 + index for index in range(count)])


def save_model(folder: Path, tensors: Mapping[str, Tensor], **config: Any) -> Path:
    folder.mkdir(parents=True)
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    import json

    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", **config}))
    return folder


def layered(seed: int, layers: int = 3, width: int = 6) -> dict[str, Tensor]:
    """The tensors of a tiny model with the names that models have."""
    torch.manual_seed(seed)
    made = {
        "model.embed_tokens.weight": torch.randn(11, width),
        "model.norm.weight": torch.randn(width),
    }
    for number in range(layers):
        made[f"model.layers.{number}.mlp.up_proj.weight"] = torch.randn(width * 2, width)
        made[f"model.layers.{number}.self_attn.q_proj.weight"] = torch.randn(width, width)
    return made
