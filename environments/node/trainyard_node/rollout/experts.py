"""The experts of a mixture: transformers keeps those of a layer in one tensor, and verl sends each
alone, as vLLM takes them."""

import re
from collections import defaultdict
from collections.abc import Container, Mapping

import torch

EXPERT = re.compile(r"(.+\.mlp\.experts)\.(\d+)\.(gate|up|down)_proj\.weight")
Weights = Mapping[str, torch.Tensor]


def packed(weights: Weights, names: Container[str]) -> dict[str, torch.Tensor]:
    """The weights with the experts of a layer together, where the model has ``names`` for that."""
    found: dict[str, torch.Tensor] = {}
    parts: dict[str, dict[tuple[str, int], torch.Tensor]] = defaultdict(dict)
    for name, tensor in weights.items():
        match = EXPERT.fullmatch(name)
        if match and f"{match[1]}.gate_up_proj" in names:
            parts[match[1]][match[3], int(match[2])] = tensor
        else:
            found[name] = tensor
    for base, layer in parts.items():
        numbers = sorted({number for _, number in layer})
        gate, up, down = (
            torch.stack([layer[part, number] for number in numbers])
            for part in ("gate", "up", "down")
        )
        found[f"{base}.gate_up_proj"] = torch.cat([gate, up], dim=1)
        found[f"{base}.down_proj"] = down
    return found
