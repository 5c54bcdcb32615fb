"""Moments at which memory can be at its highest: a constant and a share for each token."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class MemoryEvent(NamedTuple):
    """Bytes on one GPU at one moment; ``activations`` and ``logits`` are for each token."""

    name: str
    weights: float = 0
    gradients: float = 0
    optimizer: float = 0
    activations: float = 0
    logits: float = 0

    def bytes(self, tokens: int) -> float:
        fixed = self.weights + self.gradients + self.optimizer
        return fixed + (self.activations + self.logits) * tokens


def highest(events: Iterable[MemoryEvent], tokens: int) -> MemoryEvent:
    return max(events, key=lambda event: event.bytes(tokens))


def parts(event: MemoryEvent, tokens: int) -> Mapping[str, int]:
    """The categories of an event."""
    return {
        "weights": round(event.weights),
        "gradients": round(event.gradients),
        "optimizer": round(event.optimizer),
        "activations": round(event.activations * tokens),
        "logits": round(event.logits * tokens),
    }
