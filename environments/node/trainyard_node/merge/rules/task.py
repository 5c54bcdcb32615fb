"""Task arithmetic and its kin: the base, plus a sum of what each model changed of it."""

from typing import ClassVar

import torch
from torch import Tensor

from trainyard_node.merge.rules.base import Chunk, Rule, Values, added, weighted
from trainyard_node.merge.rules.masks import Chance, Magnitude, Mask, Outliers, RankedChance


class TaskArithmetic(Rule):
    """The weighted sum of the changes (arXiv 2212.04089), of which a mask may keep a part.

    `agrees`: of each element only the models count whose change has the sign of the sum (TIES).
    """

    mask: ClassVar[type[Mask] | None] = None
    more: ClassVar[tuple[str, ...]] = ()  # what the mask takes beside the density
    agrees: ClassVar[bool] = False

    def __init__(self, values: Values) -> None:
        super().__init__(values)
        self._masks = self._made() if self.mask else []

    def _made(self) -> list[Mask]:
        assert self.mask
        given = {name: self.values[name] for name in self.more}
        densities = self.values["density"]
        return [
            self.mask(
                density, self.values.elements, self.values.seeds[index],
                rescale=bool(self.values["rescale"]), beside=len(densities),
                **{name: each[index] for name, each in given.items()},
            )
            for index, density in enumerate(densities)
        ]  # fmt: skip

    def must_look(self) -> bool:
        return any(mask.must_look() for mask in self._masks)

    def near(self) -> int:
        return sum(mask.near() for mask in self._masks if mask.must_look())

    def _looking(self, chunk: Chunk) -> list[tuple[Mask, Tensor]]:
        pairs = zip(self._masks, chunk.deltas, strict=True)
        return [(mask, delta) for mask, delta in pairs if self._waits(mask)]

    def _waits(self, mask: Mask) -> bool:
        """Whether the mask has yet to look: one that has settled is not shown the tensor again."""
        return mask.must_look() and not mask.is_settled

    def sample(self, chunk: Chunk) -> None:
        for mask, delta in self._looking(chunk):
            mask.sample(delta)

    def look(self, chunk: Chunk) -> None:
        for mask, delta in self._looking(chunk):
            mask.look(delta, chunk.place)

    def settle(self) -> bool:
        for mask in self._masks:
            if self._waits(mask):
                mask.is_settled = mask.settle()
        return not any(self._waits(mask) for mask in self._masks)

    def make(self, chunk: Chunk) -> Tensor:
        changes = chunk.deltas
        if self._masks:
            pairs = zip(self._masks, changes, strict=True)
            changes = [mask.apply(delta, chunk.place) for mask, delta in pairs]
        made = self._agreed(changes) if self.agrees else self._summed(changes)
        if self.values["lambda"] != 1:
            made.mul_(self.values["lambda"])
        return made.add_(chunk.base)

    def _summed(self, changes: list[Tensor]) -> Tensor:
        weights = self.values["weight"]
        made, total = weighted(changes, weights), sum(weights)
        return made.div_(total) if self.values["normalize"] and abs(total) >= 1e-8 else made

    def _agreed(self, changes: list[Tensor]) -> Tensor:
        """The sum of the changes that have its sign; they are overwritten."""
        weights = self.values["weight"]
        parts = [change.mul_(weight) for change, weight in zip(changes, weights, strict=True)]
        sign = torch.copysign(torch.ones(()), added(parts))
        for each in parts:
            each.mul_(sign).relu_()  # above 0 where it has the sign of the sum
        made = added(parts)
        if self.values["normalize"]:
            below = weighted([each.sign_() for each in parts], weights)
            # Where no weight counts there is nothing to be divided either.
            made.div_(below.add_(torch.eq(below, 0, out=parts[0])))
        return made.mul_(sign)


class Ties(TaskArithmetic):
    mask, agrees = Magnitude, True


class DareLinear(TaskArithmetic):
    mask = Chance


class DareTies(DareLinear):
    agrees = True


class Breadcrumbs(TaskArithmetic):
    mask, more = Outliers, ("gamma",)


class BreadcrumbsTies(Breadcrumbs):
    agrees = True


class DellaLinear(TaskArithmetic):
    mask, more = RankedChance, ("epsilon",)


class Della(DellaLinear):
    agrees = True
