"""The k largest of many values that pass by in chunks, exactly, without keeping them.

A sample says between which values the k-th largest must lie. One pass counts what is above and
keeps what is between; where the sample misled, the window moves and another pass follows. Where
more lies between than may be kept, it is counted in bins instead, and another pass keeps one bin.
"""

import math

import numpy
import torch
from torch import Tensor
from torch.nn.functional import hardshrink

SIGMAS = 6.0  # how far the window reaches, in standard errors of the sample's quantile
LEAST = 0.01  # of the ranks, on either side: rows of one tensor are alike, so a sample errs by more
SAMPLED = 1 << 15  # values of a sample that are sorted
NEAR = 1 << 25  # values that are kept at most, of all that look at one tensor
USUAL = 16  # of so many values, one is near: more than a fair sample has
BITS = 16  # of the number of a bin


def most_near(total: int, beside: int = 1) -> int:
    """How many of `total` values one of several is to keep at most, before it counts in bins."""
    return min(NEAR // beside, total // USUAL + SAMPLED)


class Largest:
    """Finds the `k` largest of `total` values; equal ones go by their order.

    The calls: `sample`, `look` at all, `settle` (False: look again), then `kept` for all in order.
    With `sums` it also adds the k largest up. `beside` is how many look at the tensor at the same
    time.
    """

    def __init__(self, k: int, total: int, *, sums: bool = False, beside: int = 1) -> None:
        self.k, self.total, self._sums = min(k, total), total, sums
        self.most_near = most_near(total, beside)
        self.least = math.inf  # of the k largest, after `settle`
        self.kept_sum = 0.0
        self._quota = self._ties = 0  # how many that equal the least are among the k, and in all
        self._equal = 0  # of the quota, what is left
        self._is_settled = False
        self._bottom = self._top = 0.0  # the window
        self._near: list[numpy.ndarray] = []
        self._bins: numpy.ndarray | None = None  # how many values lie in each, where too many do
        self._begin()

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
            self._keep(held[(held >= self._bottom) ^ above])
        else:
            self._ties += int(numpy.count_nonzero(held == self._top))

    def settle(self) -> bool:
        """Set the least. False where the window missed it: it has moved, so look again."""
        if self._is_settled or self.k <= 0:
            return True
        left = self.k - self._above
        if left <= 0:
            return self._move(up=True)
        if self._bins is not None:
            return self._narrow(left)
        if self._bottom == self._top:
            return (
                self._decide(self._top, left, 0.0) if left <= self._ties else self._move(up=False)
            )
        near = numpy.concatenate(self._near) if self._near else numpy.empty(0, numpy.float32)
        self._near = []
        if left > len(near):
            return self._move(up=False)
        least = _nth_largest(near, left)
        above = near > least
        self._ties = int(numpy.count_nonzero(near == least))
        quota = left - int(numpy.count_nonzero(above))
        return self._decide(least, quota, float(near.sum(dtype=numpy.float64, where=above)))

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
        self._is_settled = True
        return True

    def _keep(self, near: numpy.ndarray) -> None:
        """Keep what lies in the window, or count it in bins where that would be too much."""
        if self._bins is None:
            self._near.append(near)
            self._kept += len(near)
            if self._kept <= self.most_near:
                return
            self._bins = numpy.zeros(1 << BITS, numpy.int64)
            for each in self._near:
                self._count(each)
            self._near = []
        else:
            self._count(near)

    def _count(self, near: numpy.ndarray) -> None:
        assert self._bins is not None
        low, shift = self._scale()
        # Without signs the difference is right even where it is more than a signed number holds.
        apart = _ordered(near).astype(numpy.int64).view(numpy.uint64) - numpy.uint64(low % 2**64)
        numbers = (apart >> numpy.uint64(shift)).astype(numpy.int64)
        self._bins += numpy.bincount(numbers, minlength=len(self._bins))

    def _scale(self) -> tuple[int, int]:
        """Where the first bin begins in the order of the values, and how many bits a bin leaves."""
        low, high = (_place(value, self._grid.dtype) for value in (self._bottom, self._top))
        return low, max(0, (high - low).bit_length() - BITS)

    def _narrow(self, left: int) -> bool:
        """Let the window be the bin that has the `left`-th largest in it."""
        assert self._bins is not None
        if left > int(self._bins.sum()):
            return self._move(up=False)
        from_top = numpy.cumsum(self._bins[::-1])
        bin = len(self._bins) - 1 - int(numpy.searchsorted(from_top, left))
        low, shift = self._scale()
        first, kind = low + (bin << shift), self._grid.dtype
        last = min(first + (1 << shift) - 1, _place(self._top, kind))
        self._bottom, self._top = _value(first, kind), _value(last, kind)
        self._begin()
        return False

    def _begin(self) -> None:
        """Before a look: nothing is counted or kept."""
        self._above, self._above_sum, self._ties, self._kept = 0, 0.0, 0, 0
        self._near, self._bins = [], None

    def _move(self, up: bool) -> bool:
        reach = 8 * self._step
        if up:
            self._low, self._high = self._high - 1, self._high + reach
        else:
            self._low, self._high = self._low - reach, self._low + 1
        self._begin()
        self._set_window()
        return False

    def _set_window(self) -> None:
        count = len(self._grid)
        self._bottom = float(self._grid[self._low]) if self._low >= 0 else -math.inf
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
    ordered = _ordered(values)
    low, high = int(ordered.min()), int(ordered.max())
    while low < high:
        middle = (low + high + 1) // 2
        if numpy.count_nonzero(ordered >= middle) >= nth:
            low = middle
        else:
            high = middle - 1
    return _value(low, values.dtype)


def _ordered(values: numpy.ndarray) -> numpy.ndarray:
    """Whole numbers in the order of the values: their bits, turned for those below 0."""
    # Adding 0 turns -0 into +0, which is its equal: their bits are not.
    made: numpy.ndarray = (values + values.dtype.type(0)).view(f"i{values.itemsize}")
    below = made < 0
    if below.any():
        made[below] ^= numpy.iinfo(made.dtype).max
    return made


def _place(value: float, kind: numpy.dtype) -> int:
    return int(_ordered(numpy.array([value], kind))[0])


def _value(place: int, kind: numpy.dtype) -> float:
    """The value at a place in the order."""
    bits = numpy.array([place], f"i{kind.itemsize}")
    return float((bits ^ (numpy.iinfo(bits.dtype).max if place < 0 else 0)).view(kind)[0])
