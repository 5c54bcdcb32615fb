"""Rules whose result is a weighted sum of the inputs, with weights that their angles decide.

The angles follow from the dot products of all pairs (the Gram matrix), which one pass gathers.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.merge.rules.base import Chunk, Rule, dot, weighted

Gram = list[list[float]]
NEARLY_PARALLEL = 0.9995  # from this cosine on, SLERP is linear
TINY = 1e-8
ON_A_LINE = 3e-8  # a squared sine below it is lost in float32: there NuSLERP is linear


class Spanned(Rule):
    """`weights_of` turns the Gram matrix into the weight of each vector, in order."""

    looks = True

    def vectors(self, chunk: Chunk) -> list[Tensor]:
        return chunk.deltas

    def origin(self, chunk: Chunk) -> Tensor | None:
        return None if chunk.base_index is None else chunk.base

    def sample(self, chunk: Chunk) -> None:
        count = len(self.vectors(chunk))
        self._gram = [[0.0] * count for _ in range(count)]
        self._weights: Sequence[float] = ()

    def look(self, chunk: Chunk) -> None:
        vectors = self.vectors(chunk)
        for i, one in enumerate(vectors):
            for j in range(i + 1):
                self._gram[i][j] += dot(one, vectors[j])
                self._gram[j][i] = self._gram[i][j]

    def settle(self) -> bool:
        self._weights = self.weights_of(self._gram)
        return True

    def weights_of(self, gram: Gram) -> Sequence[float]:
        raise NotImplementedError

    def make(self, chunk: Chunk) -> Tensor:
        vectors, origin = self.vectors(chunk), self.origin(chunk)
        made = weighted(vectors, self._weights)
        return made if origin is None else made.add_(origin)


class Slerp(Spanned):
    """Along the arc from the base (t = 0) to the other model (t = 1)."""

    def vectors(self, chunk: Chunk) -> list[Tensor]:
        return [chunk.base, *chunk.others]

    def origin(self, chunk: Chunk) -> Tensor | None:
        return None

    def weights_of(self, gram: Gram) -> Sequence[float]:
        norms = [norm if norm > TINY else 1.0 for norm in _norms(gram)]
        cosine = _clamped(gram[0][1] / norms[0] / norms[1])
        t = self.values["t"]
        if abs(cosine) > NEARLY_PARALLEL:
            return 1 - t, t
        return _arc(math.acos(cosine), t)


class NuSlerp(Spanned):
    """SLERP of two models, or of what they changed of the base; `weight` of each gives the place
    on the arc."""

    def weights_of(self, gram: Gram) -> Sequence[float]:
        norms = [max(norm, 1e-7) for norm in _norms(gram)]
        cosine = _clamped(gram[0][1] / norms[0] / norms[1])
        t = share_of(self.values["weight"])
        if 1 - cosine**2 <= ON_A_LINE:
            return 1 - t, t
        return _arc(math.acos(cosine), t)


class NuSlerpByLines(Rule):
    """NuSLERP of each row by itself, or with `nuslerp_row_wise` of each column (sic)."""

    chunks = 48  # of weights in double precision, one for each element

    def must_look(self) -> bool:
        return bool(self.values["nuslerp_row_wise"]) and len(self.values.shape) > 1

    def held(self) -> int:
        """The sums have twice the bytes of the rows."""
        return 2 * 3 * math.prod(self.values.shape[1:]) if self.must_look() else 0

    def sample(self, chunk: Chunk) -> None:
        shape = self.values.shape
        self._sums = torch.zeros(3, math.prod(shape[1:-1]), shape[-1], dtype=torch.float64)

    def look(self, chunk: Chunk) -> None:
        one, other = chunk.deltas
        for sums, product in zip(self._sums, (one * one, other * other, one * other), strict=True):
            if len(sums) == 1:
                sums += product.sum(0, dtype=torch.float64)
            else:
                sums.index_add_(0, self._places(chunk), product.double())

    def _places(self, chunk: Chunk) -> Tensor:
        """Of each row, its place in the dimensions between the first and the last."""
        rows, width = chunk.inputs[0].shape
        first = chunk.place // max(1, width)
        return torch.arange(first, first + rows) % self._sums.shape[1]

    def make(self, chunk: Chunk) -> Tensor:
        one, other = chunk.deltas
        if self.must_look():
            is_matrix = self._sums.shape[1] == 1
            sums = self._sums[:, 0] if is_matrix else self._sums[:, self._places(chunk)]
        else:
            one, other = (self._in_lines(each) for each in (one, other))
            products = (one * one, other * other, one * other)
            sums = torch.stack(
                [each.sum(-1, keepdim=True, dtype=torch.float64) for each in products]
            )
        first, second = (weights.to(one.dtype) for weights in self._weights(sums))
        made = torch.addcmul(one * first, other, second).reshape(chunk.inputs[0].shape)
        return made if chunk.base_index is None else made.add_(chunk.base)

    def _in_lines(self, tensor: Tensor) -> Tensor:
        last = self.values.shape[-1] if self.values.shape else 1
        return tensor.reshape(-1, last)

    def _weights(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        norms = sums[:2].sqrt().clamp(min=1e-7)
        cosine = (sums[2] / norms[0] / norms[1]).clamp(-1, 1)
        t = share_of(self.values["weight"])
        is_parallel = 1 - cosine.square() <= ON_A_LINE
        angle = torch.where(is_parallel, 1.0, cosine.acos())
        first, second = (torch.sin(part * angle) / torch.sin(angle) for part in (1 - t, t))
        return torch.where(is_parallel, 1 - t, first), torch.where(is_parallel, t, second)


class MultiSlerp(Spanned):
    """The weighted mean of directions on the sphere: from the tangent plane at their plain mean."""

    def weights_of(self, gram: Gram) -> Sequence[float]:
        count, eps = len(gram), self.values["eps"]
        shares = list(self.values["weight"])
        if self.values["normalize_weights"]:
            shares = [share / sum(shares) for share in shares]
        norms = _norms(gram)
        unit = _scaled(gram, [norm + eps for norm in norms])
        length = math.sqrt(max(0.0, _form(unit, shares, shares)))
        if length < eps:
            if count == 2:
                return shares
            raise Refused("The directions of the models cancel out with these weights.")
        mean = [share / length for share in shares]
        along = sum(
            share * sum(unit[i][j] * mean[j] for j in range(count))
            for i, share in enumerate(shares)
        )
        tangent = [share - along * part for share, part in zip(shares, mean, strict=True)]
        angle = math.sqrt(max(0.0, _form(unit, tangent, tangent))) + eps
        whole = sum(norm * share for norm, share in zip(norms, shares, strict=True))
        return [
            whole * (m * math.cos(angle) + q * math.sin(angle) / angle) / (norm + eps)
            for m, q, norm in zip(mean, tangent, norms, strict=True)
        ]


class OneAlone(Rule):
    """Of one model there is nothing to interpolate."""

    def make(self, chunk: Chunk) -> Tensor:
        return chunk.others[0]


class Karcher(Spanned):
    """The point on the sphere with the least sum of squared angles to all inputs."""

    def vectors(self, chunk: Chunk) -> list[Tensor]:
        return list(chunk.inputs)

    def origin(self, chunk: Chunk) -> Tensor | None:
        return None

    def weights_of(self, gram: Gram) -> Sequence[float]:
        norms, tol = _norms(gram), self.values["tol"]
        if len(norms) == 1:
            return [1.0]
        valid = [index for index, norm in enumerate(norms) if norm > tol]
        if not valid:
            return [0.0] * len(norms)
        unit = [[gram[i][j] / norms[i] / norms[j] for j in valid] for i in valid]
        mean = self._mean(unit, tol)
        scale = sum(norms) / len(norms)
        found = dict(zip(valid, mean, strict=True))
        return [scale * found[i] / norm if i in found else 0.0 for i, norm in enumerate(norms)]

    def _mean(self, unit: Gram, tol: float) -> list[float]:
        """The weights of the unit vectors."""
        count = len(unit)
        mean = [1 / count] * count
        length = math.sqrt(max(0.0, _form(unit, mean, mean)))
        mean = [part / length for part in mean] if length >= tol else [1.0] + [0.0] * (count - 1)
        for _ in range(int(self.values["max_iter"])):
            tangent = [0.0] * count
            for i in range(count):
                cosine = _clamped(sum(unit[i][j] * mean[j] for j in range(count)))
                angle = math.acos(cosine)
                if angle < tol:
                    continue
                pull = angle / math.sin(angle) / count
                tangent = [part - pull * cosine * m for part, m in zip(tangent, mean, strict=True)]
                tangent[i] += pull
            step = math.sqrt(max(0.0, _form(unit, tangent, tangent)))
            if step < tol:
                break
            mean = [
                math.cos(step) * m + math.sin(step) * part / step
                for m, part in zip(mean, tangent, strict=True)
            ]
            length = math.sqrt(max(0.0, _form(unit, mean, mean)))
            mean = [part / length for part in mean] if length > tol else mean
        return mean


class ModelStock(Spanned):
    """The mean of the models, moved to the base by how far their changes disagree in direction
    (arXiv 2403.19522)."""

    def weights_of(self, gram: Gram) -> Sequence[float]:
        count, norms = len(gram), _norms(gram)
        cosines = [
            _clamped(gram[i][j] / max(norms[i] * norms[j], 1e-6))
            for i in range(count)
            for j in range(i)
        ]
        cosine = sum(cosines) / len(cosines)
        below = 1 + (count - 1) * cosine
        share = 0.0 if abs(below) < 1e-6 else count * cosine / below
        return [share / count] * count


class ModelStockByRows(Rule):
    """Model Stock of each row by itself."""

    def make(self, chunk: Chunk) -> Tensor:
        last = self.values.shape[-1] if self.values.shape else 1
        deltas = [each.reshape(-1, last) for each in chunk.deltas]
        norms = [each.norm(dim=-1) for each in deltas]
        cosines = [
            ((deltas[i] * deltas[j]).sum(-1) / (norms[i] * norms[j]).clamp(min=1e-6)).clamp(-1, 1)
            for i in range(len(deltas))
            for j in range(i)
        ]
        cosine = torch.stack(cosines).mean(0).unsqueeze(-1)
        below = 1 + (len(deltas) - 1) * cosine
        is_lost = below.abs() < 1e-6
        share = torch.where(is_lost, 0.0, cosine / torch.where(is_lost, 1.0, below))
        made = torch.stack(deltas).sum(0) * share
        return made.reshape(chunk.base.shape).add_(chunk.base)


def share_of(weights: Sequence[float]) -> float:
    """The place of the second of two on their arc."""
    total = sum(weights)
    return 0.5 if abs(total) < 1e-6 else weights[1] / total


def _norms(gram: Gram) -> list[float]:
    return [math.sqrt(max(0.0, row[index])) for index, row in enumerate(gram)]


def _clamped(cosine: float) -> float:
    return max(-1.0, min(1.0, cosine))


def _arc(angle: float, t: float) -> tuple[float, float]:
    return math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def _scaled(gram: Gram, lengths: Sequence[float]) -> Gram:
    return [
        [value / lengths[i] / lengths[j] for j, value in enumerate(row)]
        for i, row in enumerate(gram)
    ]


def _form(gram: Gram, one: Sequence[float], other: Sequence[float]) -> float:
    """The dot product of two sums of vectors, of which `gram` has the products of all pairs."""
    return sum(a * b * gram[i][j] for i, a in enumerate(one) for j, b in enumerate(other))
