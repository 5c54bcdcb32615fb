"""How much memory the tensors that are merged at the same time may take together.

Each says before it begins what it needs at most, and waits while the others leave no room. So the
memory is the same for two threads and for two hundred, and for any number of models.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from trainyard_node.merge.inputs import chunk_elements
from trainyard_node.merge.layout import Piece
from trainyard_node.merge.rules.base import Rule
from trainyard_node.merge.shape import rows_and_width

MOST = 1 << 29  # bytes; as much again is for Python, PyTorch and what malloc keeps
OF_INPUT = 5  # chunks of each at a time: its rows, its change, what a mask keeps of that, products
NEAR_TWICE = 2.25  # values near a threshold are copied once while they are searched


class Budget:
    """Bytes that several threads share."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._taken = most, 0
        self._changed = threading.Condition()

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Take `size` bytes as long as the block runs; wait for them first. Who needs more than
        there is waits until nobody else has any."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._most)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()


def need_of(piece: Piece, rule: Rule) -> int:
    """The bytes that merging a tensor takes at most."""
    count, bytes_each = len(piece.inputs), max(4, *(e.dtype.itemsize for e in piece.inputs))
    rows, width = rows_and_width(piece.shape)
    chunk = min(rows * width, max(width, chunk_elements(count)))
    chunks = OF_INPUT * count + rule.chunks
    return int(bytes_each * (chunks * chunk + NEAR_TWICE * rule.near() + rule.held()))
