"""How one tensor is merged: a rule may look at all its rows first, and then makes row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

BLOCK = 1 << 16  # elements of a dot product that are added up in the working precision


@dataclass(frozen=True)
class Chunk:
    """The same rows of all inputs of one tensor, each of shape (rows, width).

    `inputs` are in the working precision (float32, or float64 where an input is) and are read-only.
    `place` is the number of elements before these rows.
    """

    inputs: Sequence[Tensor]
    place: int
    base_index: int | None = None

    @property
    def base(self) -> Tensor:
        assert self.base_index is not None
        return self.inputs[self.base_index]

    @property
    def others(self) -> list[Tensor]:
        return [each for index, each in enumerate(self.inputs) if index != self.base_index]

    @property
    def deltas(self) -> list[Tensor]:
        """The other inputs less the base; themselves where there is no base."""
        if self.base_index is None:
            return list(self.inputs)
        return [each - self.base for each in self.others]


@dataclass(frozen=True)
class Values:
    """The parameters for one tensor: the shared ones, and a list with one for each input.

    A list leaves out the base where the method's table says "of the others". `seed` is the random
    seed of each of these inputs for this tensor, `shape` the tensor's own.
    """

    shape: tuple[int, ...] = ()
    shared: Mapping[str, Any] = field(default_factory=dict)
    each: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: Sequence[int] = ()

    @property
    def elements(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count

    def __getitem__(self, name: str) -> Any:
        return self.each[name] if name in self.each else self.shared[name]


class Rule:
    """One tensor's merge. The order of calls: `sample` once, `look` for every chunk and then
    `settle`, both again while `settle` says no, and `make` for every chunk in its order."""

    looks: ClassVar[bool] = False
    # How many chunks it works with at a time, beside those of each input.
    chunks: ClassVar[int] = 16

    def __init__(self, values: Values) -> None:
        self.values = values

    def must_look(self) -> bool:
        """Whether this tensor needs the first pass."""
        return self.looks

    def near(self) -> int:
        """How many values it keeps at most while it looks."""
        return 0

    def held(self) -> int:
        """How many numbers it keeps at most beside these, such as a sum for each column."""
        return 0

    def sample(self, chunk: Chunk) -> None:
        """Some rows from all over the tensor, before the first look."""

    def look(self, chunk: Chunk) -> None:
        """Gather what the whole tensor decides."""

    def settle(self) -> bool:
        """Decide after a look at everything; False asks for another look."""
        return True

    def make(self, chunk: Chunk) -> Tensor:
        """The merged rows."""
        raise NotImplementedError


def dot(one: Tensor, other: Tensor) -> float:
    """The dot product of two tensors of one shape, added up in double precision."""
    parts = zip(one.reshape(-1).split(BLOCK), other.reshape(-1).split(BLOCK), strict=True)
    return sum(float(torch.dot(left, right)) for left, right in parts)


def added(tensors: Sequence[Tensor]) -> Tensor:
    """The sum of tensors of one shape; they stay as they are."""
    return weighted(tensors, [1.0] * len(tensors))


def weighted(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted sum of tensors of one shape; they stay as they are."""
    made = tensors[0] * weights[0]
    for each, weight in zip(tensors[1:], weights[1:], strict=True):
        made.add_(each, alpha=weight)
    return made
