"""How a tensor is read: in rows, each of its last dimension. A vector or scalar is one row."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def rows_and_width(shape: Sequence[int]) -> tuple[int, int]:
    """How many rows a tensor has, and how many elements each. So the experts of a layer that lie in
    one tensor are read by their own rows."""
    if len(shape) < 2:
        return 1, math.prod(shape)
    return math.prod(shape[:-1]), shape[-1]


def as_rows(tensor: Tensor) -> Tensor:
    """All of a tensor as (rows, width)."""
    return tensor.reshape(rows_and_width(tensor.shape))


def some_rows(parts: Sequence[Any], shape: Sequence[int], first: int, end: int, dim: int) -> Tensor:
    """Rows of a tensor of two dimensions or more. `parts` are its pieces along `dim`, which is not
    the first, or one piece; only what is needed of the first dimension is read."""
    rows_each = math.prod(shape[1:-1])  # of one place of the first dimension
    begin, stop = first // rows_each, -(-end // rows_each)
    found = [part[begin:stop] for part in parts]
    whole = found[0] if len(found) == 1 else torch.cat(found, dim)
    return as_rows(whole)[first - begin * rows_each : end - begin * rows_each]
