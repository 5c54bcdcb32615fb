"""The rows of one tensor's inputs, in chunks of the working precision."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.merge.layout import Piece
from trainyard_node.merge.rules.base import Chunk
from trainyard_node.merge.shape import rows_and_width
from trainyard_node.merge.stored import Stored

CHUNK = 1 << 18  # elements: a few such tensors stay in a core's cache
MANY = 64  # inputs, from which on chunks are smaller
SAMPLED = 128  # rows, out of tensors of several chunks, but two chunks at most


def chunk_elements(inputs: int) -> int:
    """The elements of a chunk. The last bits of sums follow from it, so it goes by the recipe."""
    return CHUNK * MANY // max(MANY, inputs)


class Inputs:
    """One piece's inputs. A tensor of one chunk is read once and kept; a larger one is read anew
    for each pass."""

    def __init__(self, piece: Piece, stored: Sequence[Stored], base_index: int | None) -> None:
        self._piece, self._stored, self._base_index = piece, stored, base_index
        self.rows, self.width = rows_and_width(piece.shape)
        is_double = any(entry.dtype == torch.float64 for entry in piece.inputs)
        self._dtype = torch.float64 if is_double else torch.float32
        self._chunk_rows = max(1, chunk_elements(len(stored)) // max(1, self.width))
        self._kept: Chunk | None = None
        self._is_checked = False

    def chunks(self) -> Iterator[Chunk]:
        for first in range(0, self.rows, self._chunk_rows):
            yield self._chunk(first, min(self.rows, first + self._chunk_rows))
        self._is_checked = True

    def sample(self) -> Chunk:
        """Rows from all over the tensor; all of a small one."""
        if self.rows <= self._chunk_rows:
            return self._chunk(0, self.rows)
        count = min(self.rows, SAMPLED, 2 * self._chunk_rows)
        picked = [index * self.rows // count for index in range(count)]
        tensors = [
            each.picked(entry.name, picked).to(self._dtype)
            for each, entry in zip(self._stored, self._piece.inputs, strict=True)
        ]
        return Chunk(tensors, 0, self._base_index)

    def _chunk(self, first: int, end: int) -> Chunk:
        if self._kept is not None:
            return self._kept
        tensors = [
            each.rows(entry.name, first, end).to(self._dtype)
            for each, entry in zip(self._stored, self._piece.inputs, strict=True)
        ]
        if not self._is_checked:
            self._check(tensors)
        made = Chunk(tensors, first * self.width, self._base_index)
        if end - first == self.rows:
            self._kept = made
        return made

    def _check(self, tensors: Sequence[Tensor]) -> None:
        for tensor, each, entry in zip(tensors, self._stored, self._piece.inputs, strict=True):
            if not is_finite(tensor):
                raise Refused(f"{entry.name} of {each.root} holds NaN or infinite values.")


def is_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite. The sum alone may overflow, and is the faster look."""
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())
