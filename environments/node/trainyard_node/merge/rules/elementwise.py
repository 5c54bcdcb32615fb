"""Rules for which each element is on its own: one pass, and nothing is gathered."""

import torch
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.merge.rules.base import Chunk, Rule, Values

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
        weights, total = self.values["weight"], self._total
        made = chunk.inputs[0] * weights[0]
        for each, weight in zip(chunk.inputs[1:], weights[1:], strict=True):
            made.add_(each, alpha=weight)
        return made.div_(total) if total != 1 else made


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
        deltas = torch.stack(chunk.deltas)
        changed = deltas.abs() > self.values["epsilon"]
        count = changed.sum(0)
        made = (deltas * changed * self.share(count, deltas)).sum(0)
        return made.div_(count.clamp_(min=1)).add_(chunk.base)

    def share(self, count: Tensor, deltas: Tensor) -> Tensor | float:
        """By how much a model's change counts, before the average."""
        return 1.0


class RamPlus(Ram):
    """As RAM; a model's own changes grow by how much of its work is shared, within a tensor."""

    looks = True

    def sample(self, chunk: Chunk) -> None:
        self._shared = torch.zeros(len(chunk.others), dtype=torch.int64)
        self._own = torch.zeros(len(chunk.others), dtype=torch.int64)

    def look(self, chunk: Chunk) -> None:
        deltas = torch.stack(chunk.deltas)
        changed = (deltas.abs() > self.values["epsilon"]).flatten(1)
        count = changed.sum(0)
        self._shared += (changed & (count > 1)).sum(1)
        self._own += (changed & (count == 1)).sum(1)

    def share(self, count: Tensor, deltas: Tensor) -> Tensor | float:
        ratio = self._shared / self._own.clamp(min=self.values["epsilon"])
        grown = 1 + self.values["r"] * ratio.clamp(0, self.values["alpha"])
        of_model = grown.to(deltas.dtype).reshape(-1, 1, 1)
        return torch.where(count == 1, of_model, 1.0)
