"""Rules that select elements by a statistic of all models together: SCE and Arcee Fusion."""

import torch
from torch import Tensor

from trainyard_node.merge.rules.base import Chunk, Rule, added, weighted
from trainyard_node.merge.rules.largest import Largest, most_near

QUARTERS = (0.25, 0.5, 0.75)


class Sce(Rule):
    """Select the elements in which the models differ most, weigh each model by the square of its
    change there, erase what has the minority's sign (arXiv 2408.07990).

    With `select_topk` below 1 the variances are looked at before the squares: one pass more.
    """

    looks = True

    def near(self) -> int:
        return 0 if self._all() else most_near(self.values.elements)

    def sample(self, chunk: Chunk) -> None:
        self._squares = torch.zeros(len(chunk.others), dtype=torch.float64)
        self._has_selected = self._all()
        if not self._has_selected:
            variance = _variance(chunk)
            varied = int((variance > 0).sum()) / max(1, variance.numel())
            total = self.values.elements
            self._largest = Largest(int(total * varied * self.values["select_topk"]), total)
            self._largest.sample(variance)
            self._varied = 0

    def _all(self) -> bool:
        return bool(self.values["select_topk"] >= 1 or self.values["select_topk"] <= 0)

    def look(self, chunk: Chunk) -> None:
        if self._has_selected:
            selected = self._selected(chunk)
            for index, change in enumerate(selected):
                self._squares[index] += float(change.square().sum(dtype=torch.float64))
        else:
            variance = _variance(chunk)
            self._varied += int((variance > 0).sum())
            self._largest.look(variance)

    def settle(self) -> bool:
        if self._has_selected:
            if not self._all():
                self._largest.again()
            return True
        self._largest.k = int(self._varied * self.values["select_topk"])
        self._varied = 0
        self._has_selected = self._largest.settle()
        return False

    def make(self, chunk: Chunk) -> Tensor:
        changes = self._selected(chunk)
        weights = self._weights()
        sign = torch.copysign(torch.ones(()), added(changes))
        parts = [change.mul(sign).relu_() for change in changes]  # of the sum's sign
        made = weighted(parts, weights)
        below = weighted([each.sign_() for each in parts], weights).clamp_(min=1e-6)
        return made.div_(below).mul_(sign).add_(chunk.base)

    def _selected(self, chunk: Chunk) -> list[Tensor]:
        if self.values["select_topk"] >= 1:
            return chunk.deltas
        if self.values["select_topk"] <= 0:
            return [torch.zeros_like(each) for each in chunk.deltas]
        kept = self._largest.kept(_variance(chunk))
        return [each * kept for each in chunk.deltas]

    def _weights(self) -> list[float]:
        means = self._squares / self.values.elements
        total = float(means.sum())
        if abs(total) < 1e-6:
            return [1 / len(means)] * len(means)
        return [float(each) for each in means / total]


class ArceeFusion(Rule):
    """Take over the other model's elements whose change matters most: the change times the
    divergence of its row's softmax, above the median by 1.5 times the quartiles' distance.

    The quartiles are those of all elements; mergekit samples a million in larger tensors.
    """

    looks = True

    def near(self) -> int:
        return len(QUARTERS) * most_near(self.values.elements, len(QUARTERS))

    def sample(self, chunk: Chunk) -> None:
        total = self.values.elements
        self._quarters = [
            Largest(total - int(q * (total - 1)), total, beside=len(QUARTERS)) for q in QUARTERS
        ]
        importance = self._importance(chunk)
        for each in self._quarters:
            each.sample(importance)

    def look(self, chunk: Chunk) -> None:
        importance = self._importance(chunk)
        for each in self._quarters:
            each.look(importance)

    def settle(self) -> bool:
        return all([each.settle() for each in self._quarters])

    def make(self, chunk: Chunk) -> Tensor:
        first, median, third = (each.least for each in self._quarters)
        threshold = median + 1.5 * (third - first)
        (delta,) = chunk.deltas
        return (delta * (self._importance(chunk) >= threshold)).add_(chunk.base)

    def _importance(self, chunk: Chunk) -> Tensor:
        last = self.values.shape[-1] if self.values.shape else 1
        base, other = (each.reshape(-1, last) for each in (chunk.base, chunk.others[0]))
        p, q = (each.softmax(-1) + 1e-8 for each in (other, base))
        divergence = (p * (p / q).log()).sum(-1, keepdim=True)
        return ((other - base).abs() * divergence).reshape(chunk.base.shape)


def _variance(chunk: Chunk) -> Tensor:
    """Of the models' changes, for each element."""
    deltas = chunk.deltas
    mean = added(deltas).div_(len(deltas))
    return added([each.sub_(mean).square_() for each in deltas]).div_(len(deltas))
