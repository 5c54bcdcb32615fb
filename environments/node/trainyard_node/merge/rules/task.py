"""Task arithmetic and its kin: the base, plus a sum of what each model changed of it."""

from typing import ClassVar

import torch
from torch import Tensor

from trainyard_node.merge.rules.base import Chunk, Rule, Values
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
        return [
            self.mask(
                density, self.values.elements, self.values.seeds[index],
                rescale=bool(self.values["rescale"]),
                **{name: each[index] for name, each in given.items()},
            )
            for index, density in enumerate(self.values["density"])
        ]  # fmt: skip

    def must_look(self) -> bool:
        return any(mask.must_look() for mask in self._masks)

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
        made = changes[0] * weights[0]
        for change, weight in zip(changes[1:], weights[1:], strict=True):
            made.add_(change, alpha=weight)
        total = sum(weights)
        return made.div_(total) if self.values["normalize"] and abs(total) >= 1e-8 else made

    def _agreed(self, changes: list[Tensor]) -> Tensor:
        weights = self.values["weight"]
        weighted = [change * weight for change, weight in zip(changes, weights, strict=True)]
        total = weighted[0].clone()
        for each in weighted[1:]:
            total.add_(each)
        sign = (total >= 0).to(total.dtype).mul_(2).sub_(1)
        made, below = torch.zeros_like(total), torch.zeros_like(total)
        for each, weight in zip(weighted, weights, strict=True):
            along = each.mul_(sign)  # above 0 where it has the sign of the sum
            if self.values["normalize"]:
                below.add_(along > 0, alpha=weight)
            made.add_(along.relu_())
        if self.values["normalize"]:
            made.div_(below.masked_fill_(below == 0, 1))
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
