"""Random numbers by the place of an element: the same whatever the chunks and the threads.

Each block of elements has a Philox generator of its own, keyed by the seed and the block's number.
"""

import hashlib

import numpy
import torch
from torch import Tensor

BLOCK = 1 << 16


def seed_for(*names: object) -> int:
    """A seed of 64 bits out of names, the same on every machine."""
    text = "\0".join(map(str, names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def uniform(seed: int, place: int, count: int) -> Tensor:
    """`count` numbers of [0, 1) in float32, for the elements from `place` on."""
    first, end = place // BLOCK, place + count
    blocks = [_block(seed, number) for number in range(first, -(-end // BLOCK))]
    if not blocks:
        return torch.empty(0)
    skipped = place - first * BLOCK
    return torch.from_numpy(numpy.concatenate(blocks)[skipped : skipped + count])


def _block(seed: int, number: int) -> "numpy.ndarray":
    key = numpy.array([seed, number], dtype=numpy.uint64)
    made = numpy.random.Generator(numpy.random.Philox(key=key))
    return made.random(BLOCK, dtype=numpy.float32)
