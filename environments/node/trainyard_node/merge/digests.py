"""The SHA-256 of a model's tensors, taken from the rows as a merge reads them.

A model's digest is the SHA-256 of a text with a line for each tensor, in the order of their names:
name, type, shape and the SHA-256 of its bytes. So it is the same however a model is cut into files.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor

from trainyard_node.merge.shape import rows_and_width

STEP = 1 << 22  # elements that are read at a time
Rows = Callable[[str, int, int], Tensor]
MEANING = (
    "The SHA-256 of a model is that of a text with one line for each tensor, in the order of their "
    "names: name, type, shape and the SHA-256 of the tensor's bytes, with single spaces between."
)


class Described(Protocol):
    """A tensor by its name, type and shape."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> torch.dtype: ...


class OfTensor:
    """The digest of one tensor. Rows that come again, as in a second pass, are left out."""

    def __init__(self) -> None:
        self._hash, self._next = hashlib.sha256(), 0
        self._lock = threading.Lock()

    def add(self, first: int, rows: Tensor) -> None:
        """Take rows that begin at `first`, unless there is a gap before them."""
        with self._lock:
            known = self._next - first
            if 0 <= known < rows.shape[0]:
                self._hash.update(bytes_of(rows[known:]))
                self._next = first + rows.shape[0]

    def taken(self) -> int:
        """How many rows were taken, from the first one on."""
        return self._next

    def hex(self) -> str:
        return self._hash.hexdigest()


class Digests:
    """The digests of a model's tensors, which threads add to."""

    def __init__(self, entries: Iterable[Described]) -> None:
        self._entries = sorted(entries, key=lambda each: each.name)
        self._of = {entry.name: OfTensor() for entry in self._entries}

    def add(self, name: str, first: int, rows: Tensor) -> None:
        self._of[name].add(first, rows)

    def lines(self, rows: Rows) -> list[str]:
        """A line for each tensor. `rows` reads the rows that were not read yet, and adds them."""
        return [self._line(entry, rows) for entry in self._entries]

    def _line(self, entry: Described, rows: Rows) -> str:
        found, shape = self._of[entry.name], list(entry.shape)
        count, width = rows_and_width(entry.shape)
        step = max(1, STEP // max(1, width))
        while (first := found.taken()) < count:
            rows(entry.name, first, min(count, first + step))
        kind = str(entry.dtype).removeprefix("torch.")
        return f"{entry.name} {kind} {shape} {found.hex()}"


def bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a tensor as a file has them."""
    return memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
