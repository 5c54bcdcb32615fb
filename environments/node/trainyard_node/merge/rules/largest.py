"""The k largest of many values that pass by in chunks, exactly, without keeping them.

A sample says between which values the k-th largest must lie. One pass counts what is above and
keeps what is between; where the sample misled, the window moves and another pass follows.
"""

import math

import numpy
import torch
from torch import Tensor
from torch.nn.functional import hardshrink

SIGMAS = 6.0  # how far the window reaches, in standard errors of the sample's quantile
LEAST = 0.01  # of the ranks, on either side: rows of one tensor are alike, so a sample errs by more
SAMPLED = 1 << 15  # values of a sample that are sorted


class Largest:
    """Finds the `k` largest of `total` values of 0 or more; equal ones go by their order.

    The calls: `sample`, `look` at all, `settle` (False: look again), then `kept` for all in order.
    With `sums` it also adds the k largest up.
    """

    def __init__(self, k: int, total: int, *, sums: bool = False) -> None:
        self.k, self.total, self._sums = min(k, total), total, sums
        self.least = math.inf  # of the k largest, after `settle`
        self.kept_sum = 0.0
        self._quota = self._ties = 0  # how many that equal the least are among the k, and in all
        self._equal = 0  # of the quota, what is left
        self._above, self._above_sum = 0, 0.0
        self._near: list[numpy.ndarray] = []
        self._is_settled = False

    def sample(self, values: Tensor) -> None:
        """Some of the values, from all over."""
        self._grid = numpy.sort(_spread(values, SAMPLED).numpy())
        count = len(self._grid)
        below = (self.total - self.k) / max(1, self.total)
        margin = max(LEAST, SIGMAS * math.sqrt(below * (1 - below) / max(1, count)))
        self._step = max(1, math.ceil(margin * count))
        self._low = math.floor(below * count) - self._step
        self._high = math.ceil(below * count) + self._step
        self._set_window()

    def look(self, values: Tensor) -> None:
        """All values, in any chunks. Once it is settled, another look changes nothing."""
        if self._is_settled:
            return
        held = values.numpy()  # NumPy compares and selects several times as fast as PyTorch
        above = held > self._top
        self._above += int(numpy.count_nonzero(above))
        if self._sums:
            self._above_sum += float(hardshrink(values, self._top).sum(dtype=torch.float64))
        # One value alone, such as the zeros of an unchanged model, is counted and not kept.
        if self._bottom < self._top:
            self._near.append(held[(held >= self._bottom) ^ above])
        else:
            self._ties += int(numpy.count_nonzero(held == self._top))

    def settle(self) -> bool:
        """Set the least. False where the window missed it: it has moved, so look again."""
        if self._is_settled or self.k <= 0:
            return True
        left = self.k - self._above
        if left <= 0:
            return self._move(up=True)
        if self._bottom == self._top:
            return (
                self._decide(self._top, left, 0.0) if left <= self._ties else self._move(up=False)
            )
        near = numpy.concatenate(self._near) if self._near else numpy.empty(0, numpy.float32)
        if left > len(near):
            return self._move(up=False)
        least = _nth_largest(near, left)
        above = near[near > least]
        self._ties = int(numpy.count_nonzero(near == least))
        return self._decide(least, left - len(above), float(above.sum(dtype=numpy.float64)))

    def kept(self, values: Tensor) -> Tensor:
        """1 where a value is among the k largest, and 0 elsewhere, in the values' own type. Ask for
        all, once, in their order."""
        found = torch.empty_like(values)
        if self._quota == self._ties:
            return torch.ge(values, self.least, out=found)
        if not self._equal:
            return torch.gt(values, self.least, out=found)
        equal = values.numpy() == self.least
        count = int(numpy.count_nonzero(equal))
        torch.ge(values, self.least, out=found)
        if count > self._equal:
            too_late = numpy.flatnonzero(equal)[self._equal :]
            found.view(-1)[torch.from_numpy(too_late)] = 0
        self._equal -= min(count, self._equal)
        return found

    def taken(self, values: Tensor) -> Tensor:
        """Values of any sign, where their sizes are among the k largest, and 0 elsewhere. Ask for
        all, once, in their order."""
        if self._equal and self._quota != self._ties:
            return self.kept(values.abs()).mul_(values)
        takes_equal = self._quota == self._ties
        if takes_equal and self.least <= 0:
            return values.clone()
        # What hardshrink leaves is larger than its limit.
        own = values.numpy().dtype.type(self.least)
        return hardshrink(values, float(numpy.nextafter(own, 0)) if takes_equal else self.least)

    def again(self) -> None:
        """Begin anew with `kept`."""
        self._equal = self._quota

    def _decide(self, least: float, quota: int, near_sum: float) -> bool:
        self.least = least
        self._equal = self._quota = quota
        self.kept_sum = self._above_sum + near_sum + quota * least
        self._near = []
        self._is_settled = True
        return True

    def _move(self, up: bool) -> bool:
        reach = 8 * self._step
        if up:
            self._low, self._high = self._high - 1, self._high + reach
        else:
            self._low, self._high = self._low - reach, self._low + 1
        self._above, self._above_sum, self._ties, self._near = 0, 0.0, 0, []
        self._set_window()
        return False

    def _set_window(self) -> None:
        count = len(self._grid)
        self._bottom = float(self._grid[self._low]) if self._low >= 0 else -1.0
        self._top = float(self._grid[self._high]) if self._high < count else math.inf


def _spread(values: Tensor, most: int) -> Tensor:
    """At most `most` of the values, from all rows and all columns."""
    flat = values.reshape(-1)
    step = max(1, math.ceil(len(flat) / most))
    while step > 1 and math.gcd(step, values.shape[-1]) > 1:
        step += 1
    return flat[::step]


def _nth_largest(values: numpy.ndarray, nth: int) -> float:
    """By halving the range of their bits: counting is far faster than sorting, above all where
    many values are equal."""
    bits = values.view(f"i{values.itemsize}")
    ordered = bits ^ ((bits < 0) * numpy.iinfo(bits.dtype).max)  # as the values are
    low, high = int(ordered.min()), int(ordered.max())
    while low < high:
        middle = (low + high + 1) // 2
        if numpy.count_nonzero(ordered >= middle) >= nth:
            low = middle
        else:
            high = middle - 1
    return float(values[ordered == low][0])
