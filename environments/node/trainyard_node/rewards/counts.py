"""What a rollout record lacks of an answer: its tokens, and the advantage that verl trained on.

The tokens are those of the whole answer, and those that the model itself wrote and learns from: a
tool's answer is among the first alone. The advantage is the mean over the second.
"""

from typing import Any

TOKENS, TRAINED, ADVANTAGE = "trainyard_tokens", "trainyard_trained", "trainyard_advantage"
FIELDS = ("response_mask", "advantages")


def counts(data: Any) -> dict[str, list[Any]]:
    """A list for each, from verl's nested tensors with a row for each answer."""
    masks = [mask.float() for mask in data["response_mask"].unbind(0)]
    trained = [int(mask.sum()) for mask in masks]
    sums = [
        float((advantage.float() * mask).sum())
        for advantage, mask in zip(data["advantages"].unbind(0), masks, strict=True)
    ]
    return {
        TOKENS: [len(mask) for mask in masks],
        TRAINED: trained,
        ADVANTAGE: [
            total / count if count else None for total, count in zip(sums, trained, strict=True)
        ],
    }
