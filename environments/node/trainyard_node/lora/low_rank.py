"""The best matrices of low rank for a difference, by its singular values."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

STEP = 1 << 20  # elements that are made float64 at a time
NOTHING = 1e-14  # of the largest eigenvalue: below it there is only rounding


@dataclass(frozen=True)
class LowRank:
    """`up @ down` is near the difference: `up` is (out, rank), `down` is (rank, in), in float32.

    `error` is what is missing, relative to the difference; `distance` is the difference's length.
    """

    up: Tensor
    down: Tensor
    error: float
    distance: float

    @property
    def rank(self) -> int:
        return int(self.down.shape[0])


def low_rank(apart: Tensor, rank: int | None, energy: float | None) -> LowRank:
    """Of a difference (out, in) in float32, which is not zero: at most `rank`, or the least rank
    that has the share `energy` (0 to 1) of the squared singular values.

    The singular vectors of the shorter side are the eigenvectors of the difference times itself,
    in float64. Projected on them, the difference loses no more than by its own singular values.
    """
    is_wide = apart.shape[0] < apart.shape[1]
    long = apart.T if is_wide else apart
    values, vectors = torch.linalg.eigh(_gram(long))
    squares, vectors = values.flip(0).clamp(min=0.0), vectors.flip(1)
    count = _rank(squares, rank, energy)
    roots = squares[:count].pow(0.25)  # the root of each singular value
    directions = vectors[:, :count]
    inside = roots.unsqueeze(0) * directions  # (in, rank) of a tall difference
    outside = _times(long, directions / roots.unsqueeze(0))
    up, down = (inside, outside.T) if is_wide else (outside, inside.T)
    made_up, made_down = up.float().contiguous(), down.float().contiguous()
    distance = float(torch.sqrt(squares.sum()))
    return LowRank(made_up, made_down, _missing(apart, made_up, made_down) / distance, distance)


def _rank(squares: Tensor, rank: int | None, energy: float | None) -> int:
    real = int((squares > squares[0] * NOTHING).sum())
    if rank is not None:
        return min(rank, real)
    shares = torch.cumsum(squares, 0) / squares.sum()
    needed = int((shares < (1.0 if energy is None else energy)).sum()) + 1
    return max(1, min(needed, real))


def _gram(long: Tensor) -> Tensor:
    made = torch.zeros(long.shape[1], long.shape[1], dtype=torch.float64)
    for part in _parts(long):
        made.addmm_(part.T, part)
    return made


def _times(long: Tensor, matrix: Tensor) -> Tensor:
    return torch.cat([part @ matrix for part in _parts(long)])


def _missing(apart: Tensor, up: Tensor, down: Tensor) -> float:
    """The length of what the two matrices do not give."""
    step = max(1, STEP // apart.shape[1])
    squares = 0.0
    for first in range(0, apart.shape[0], step):
        left = apart[first : first + step] - up[first : first + step] @ down
        squares += float(torch.linalg.vector_norm(left, dtype=torch.float64)) ** 2
    return float(squares**0.5)


def _parts(long: Tensor) -> Iterator[Tensor]:
    step = max(1, STEP // long.shape[1])
    for first in range(0, long.shape[0], step):
        yield long[first : first + step].double()
