"""Which part of a model's change is kept: by magnitude, by chance, or by both."""

from typing import ClassVar

import torch
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.merge.noise import uniform
from trainyard_node.merge.rules.largest import Largest

TOO_SMALL = 1e-7  # a sum of magnitudes below it is not rescaled


class Mask:
    """The mask of one model's change (delta) in one tensor.

    With `rescale` the kept part is scaled so that its magnitudes add up as before; that and a
    magnitude that the whole tensor decides need a first look. `beside` is how many masks look at
    the same time, itself counted.
    """

    ranks: ClassVar[bool] = False

    def __init__(
        self, density: float, total: int, seed: int, *, rescale: bool, beside: int = 1
    ) -> None:
        self.density, self.total, self.seed, self.rescale = density, total, seed, rescale
        self.all_kept, self.none_kept = density >= 1, density <= 0
        self.factor = 1.0
        self._before = self._after = 0.0
        self.is_settled = False

    def must_look(self) -> bool:
        return not (self.all_kept or self.none_kept) and (self.ranks or self.rescale)

    def near(self) -> int:
        """How many values it keeps at most while it looks."""
        return 0

    def sample(self, delta: Tensor) -> None:
        """Some of the change, from all over the tensor."""

    def look(self, delta: Tensor, place: int) -> None:
        if self.rescale:
            self._before += float(delta.abs().sum(dtype=torch.float64))
            self._after += self.sum_kept(delta, place)

    def settle(self) -> bool:
        if self.rescale and min(self._before, self._after) >= TOO_SMALL:
            self.factor = self._before / self._after
        return True

    def sum_kept(self, delta: Tensor, place: int) -> float:
        """The magnitudes of the kept part of a chunk, in the first look."""
        return float(self.kept(delta, place).abs_().sum(dtype=torch.float64))

    def kept(self, delta: Tensor, place: int) -> Tensor:
        """The change where it is kept and 0 elsewhere, as a tensor of its own."""
        raise NotImplementedError

    def apply(self, delta: Tensor, place: int) -> Tensor:
        """The kept part of the change; 0 elsewhere. Chunks come in their order."""
        if self.all_kept:
            return delta
        if self.none_kept:
            return torch.zeros_like(delta)
        kept = self.kept(delta, place)
        return kept.mul_(self.factor) if self.factor != 1 else kept


class Magnitude(Mask):
    """The `density` largest changes (TIES, arXiv 2306.01708)."""

    ranks = True

    def __init__(
        self, density: float, total: int, seed: int, *, rescale: bool, beside: int = 1
    ) -> None:
        super().__init__(density, total, seed, rescale=rescale, beside=beside)
        count = max(1, int(density * total))
        self._largest = Largest(count, total, sums=rescale, beside=beside)

    def near(self) -> int:
        return self._largest.most_near

    def sample(self, delta: Tensor) -> None:
        self._largest.sample(delta.abs())

    def look(self, delta: Tensor, place: int) -> None:
        size = delta.abs()
        if self.rescale:
            self._before += float(size.sum(dtype=torch.float64))
        self._largest.look(size)

    def settle(self) -> bool:
        if not self._largest.settle():
            self._before = 0.0
            return False
        self._after = self._largest.kept_sum
        return super().settle()

    def kept(self, delta: Tensor, place: int) -> Tensor:
        return self._largest.taken(delta)


class Outliers(Mask):
    """The `gamma` largest changes are left out, then the `density` largest kept (Breadcrumbs,
    arXiv 2312.06795)."""

    ranks = True

    def __init__(
        self, density: float, total: int, seed: int, *, rescale: bool, gamma: float, beside: int = 1
    ) -> None:
        super().__init__(density, total, seed, rescale=rescale, beside=beside)
        wanted = int(density * total)
        small = max(0, total - wanted - int(gamma * total))
        both = 2 * beside
        self._outliers = Largest(total - small - wanted, total, sums=rescale, beside=both)
        self._largest = Largest(total - small, total, sums=rescale, beside=both)
        self._both = (self._outliers, self._largest)

    def near(self) -> int:
        return sum(each.most_near for each in self._both)

    def sample(self, delta: Tensor) -> None:
        for each in self._both:
            each.sample(delta.abs())

    def look(self, delta: Tensor, place: int) -> None:
        size = delta.abs()
        if self.rescale:
            self._before += float(size.sum(dtype=torch.float64))
        for each in self._both:
            each.look(size)

    def settle(self) -> bool:
        if not all([each.settle() for each in self._both]):
            self._before = 0.0
            return False
        self._after = self._largest.kept_sum - self._outliers.kept_sum
        return super().settle()

    def kept(self, delta: Tensor, place: int) -> Tensor:
        return self._largest.taken(delta).sub_(self._outliers.taken(delta))


class Chance(Mask):
    """Each change with the probability `density` (DARE, arXiv 2311.03099)."""

    def kept(self, delta: Tensor, place: int) -> Tensor:
        drawn = uniform(self.seed, place, delta.numel()).reshape(delta.shape)
        return _where_below(drawn, self.density, delta)


class RankedChance(Mask):
    """By chance, more likely the larger a change is in its row (DELLA, arXiv 2406.11617)."""

    def __init__(
        self, density: float, total: int, seed: int, *, rescale: bool, epsilon: float,
        beside: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(density, total, seed, rescale=rescale, beside=beside)
        self._epsilon = epsilon
        is_chance = epsilon < density < 1 - epsilon
        if not (self.all_kept or self.none_kept or is_chance):
            raise Refused(
                f"Density {density:g} less and plus epsilon {epsilon:g} must lie in 0 to 1."
            )

    def kept(self, delta: Tensor, place: int) -> Tensor:
        ranks = delta.abs().argsort(dim=1, stable=True).argsort(dim=1)
        share = ranks.float() / (delta.shape[1] - 1) if delta.shape[1] > 1 else 0.5
        likely = self.density - self._epsilon + share * 2 * self._epsilon
        drawn = uniform(self.seed, place, delta.numel()).reshape(delta.shape)
        return _where_below(drawn, likely, delta)


def _where_below(drawn: Tensor, likely: Tensor | float, delta: Tensor) -> Tensor:
    """The change where the number that was drawn is below its probability, and 0 elsewhere."""
    # PyTorch multiplies by numbers several times as fast as by truth values.
    return torch.lt(drawn, likely, out=torch.empty_like(delta)).mul_(delta)
