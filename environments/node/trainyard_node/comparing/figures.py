"""How far two tensors are from each other, in figures that add up over tensors."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Sums:
    """Sums over the elements of the first (a), the second (b) and their difference b - a."""

    first: float = 0.0  # of a squared
    second: float = 0.0  # of b squared
    both: float = 0.0  # of a b
    apart: float = 0.0  # of (b - a) squared
    largest: float = 0.0  # |b - a|
    changed: int = 0  # elements that differ
    elements: int = 0

    def add(self, other: "Sums") -> None:
        self.first += other.first
        self.second += other.second
        self.both += other.both
        self.apart += other.apart
        self.largest = max(self.largest, other.largest)
        self.changed += other.changed
        self.elements += other.elements

    def figures(self) -> dict[str, Any]:
        """What the sums say; None for a figure that has no value, such as a share of nothing."""
        return {
            "distance": math.sqrt(self.apart),
            "relative": self._relative(),
            "cosine": self._cosine(),
            "norm_ratio": self._norm_ratio(),
            "max_abs": self.largest,
            "changed": self.changed / self.elements if self.elements else 0.0,
            "elements": self.elements,
        }

    def _relative(self) -> float | None:
        if not self.changed:
            return 0.0
        return math.sqrt(self.apart) / math.sqrt(self.first) if self.first else None

    def _cosine(self) -> float | None:
        if not self.changed:
            return 1.0
        length = math.sqrt(self.first) * math.sqrt(self.second)
        return max(-1.0, min(1.0, self.both / length)) if length else None

    def _norm_ratio(self) -> float | None:
        if not self.changed:
            return 1.0
        return math.sqrt(self.second) / math.sqrt(self.first) if self.first else None


def sums_of(first: Tensor, second: Tensor) -> Sums:
    """Of two tensors of one shape, in float64."""
    a, b = first.reshape(-1).double(), second.reshape(-1).double()
    apart = b - a
    return Sums(
        float(a.dot(a)),
        float(b.dot(b)),
        float(a.dot(b)),
        float(apart.dot(apart)),
        float(torch.linalg.vector_norm(apart, math.inf)) if apart.numel() else 0.0,
        int(torch.count_nonzero(apart)),
        apart.numel(),
    )


def total(sums: Iterable[Sums]) -> Sums:
    """The sums of several tensors together."""
    made = Sums()
    for each in sums:
        made.add(each)
    return made
