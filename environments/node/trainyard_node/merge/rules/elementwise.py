"""Rules for which each element is on its own: one pass, and nothing is gathered."""

import torch
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.merge.rules.base import Chunk, Rule, Values, added, weighted

SAME = 1e-6  # a difference below it counts as this large
NOTHING = 1e-8  # a sum of weights below it is 0


class Linear(Rule):
    """The weighted sum of the inputs, or their weighted mean (Wortsman et al. 2022)."""

    def __init__(self, values: Values) -> None:
        super().__init__(values)
        self._total = sum(values["weight"]) if values["normalize"] else 1.0
        if abs(self._total) < NOTHING:
            raise Refused("The weights of a linear merge add up to 0, so it has no mean.")

    def make(self, chunk: Chunk) -> Tensor:
        made = weighted(chunk.inputs, self.values["weight"])
        return made.div_(self._total) if self._total != 1 else made


class Passthrough(Rule):
    """The one input, times its scale where it has one."""

    def make(self, chunk: Chunk) -> Tensor:
        scale = self.values["scale"][0]
        return chunk.inputs[0] if scale is None else chunk.inputs[0] * scale


class Nearswap(Rule):
    """The base moves to the other by at most about t, and all the way where they are near."""

    def make(self, chunk: Chunk) -> Tensor:
        (delta,) = chunk.deltas
        share = (self.values["t"] / delta.abs().clamp_(min=SAME)).clamp_(0, 1)
        return torch.addcmul(chunk.base, share, delta)


class Ram(Rule):
    """What one model alone changed is kept; what several changed is averaged over them.

    A change counts from `epsilon` on (arXiv 2601.13572).
    """

    def make(self, chunk: Chunk) -> Tensor:
        deltas = chunk.deltas
        changes = [delta.mul_(self.changed(delta)) for delta in deltas]
        count = added([self.changed(change) for change in changes])
        made = self.summed(changes, count)
        return made.div_(count.clamp_(min=1)).add_(chunk.base)

    def changed(self, delta: Tensor) -> Tensor:
        """1 where the model changed the base, and 0 elsewhere."""
        return torch.gt(delta.abs(), self.values["epsilon"], out=torch.empty_like(delta))

    def summed(self, changes: list[Tensor], count: Tensor) -> Tensor:
        """The sum of the changes, which `count` models made."""
        return added(changes)


class RamPlus(Ram):
    """As RAM; a model's own changes grow by how much of its work is shared, within a tensor."""

    looks = True

    def sample(self, chunk: Chunk) -> None:
        self._shared = [0.0] * len(chunk.others)
        self._own = [0.0] * len(chunk.others)

    def look(self, chunk: Chunk) -> None:
        changed = [self.changed(delta) for delta in chunk.deltas]
        alone = _is_one(added(changed))
        for index, each in enumerate(changed):
            own = float((each * alone).sum(dtype=torch.float64))
            self._own[index] += own
            self._shared[index] += float(each.sum(dtype=torch.float64)) - own

    def summed(self, changes: list[Tensor], count: Tensor) -> Tensor:
        grown = [change * self._growth(index) for index, change in enumerate(changes)]
        alone = _is_one(count)
        return added(grown).mul_(alone).add_(added(changes).mul_(1 - alone))

    def _growth(self, index: int) -> float:
        ratio = self._shared[index] / max(self._own[index], self.values["epsilon"])
        return float(1 + self.values["r"] * min(max(ratio, 0), self.values["alpha"]))


def _is_one(count: Tensor) -> Tensor:
    return torch.eq(count, 1, out=torch.empty_like(count))
