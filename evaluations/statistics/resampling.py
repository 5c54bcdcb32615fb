"""The interval of a mean, or of a ratio of two sums, by the studentised bootstrap over prompts.

Answers to one prompt are alike, so prompts are what is drawn anew, each with all its answers. The
bootstrap of Student's t covers the truth of skewed scores better than percentiles of the mean do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.95
USUAL = NormalDist().inv_cdf((1 + LEVEL) / 2)  # standard errors to either side, of very many
SEED = 20_261_130
DRAWS = 1000
AT_ONCE = 1 << 18  # prompts that are drawn at a time
# With more prompts than that the bootstrap says what Student's t says, and costs seconds.
MOST_DRAWN = 10_000
# Where fewer prompts than that are unlike the others, a bootstrap sees too few of them: two
# imagined prompts at the ends of the range stand for those that it did not see (Bonett and Price).
FEW = 20


@dataclass(frozen=True)
class Interval:
    """A value, and between which bounds the truth lies with a probability of ``LEVEL``."""

    value: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Sums:
    """What a ratio is made of, one pair a prompt: its value is the sum of ``parts`` over that of
    ``weights``. With weights of 1 it is a mean. ``ends`` are the least and the greatest part that a
    prompt may have; without them, none is imagined."""

    parts: Floats
    weights: Floats
    ends: tuple[float, float] | None = None


def mean_of(parts: Floats, ends: tuple[float, float] | None = None) -> Sums:
    return Sums(parts, np.ones(len(parts)), ends)


def intervals(asked: Sequence[Sums], seed: int = SEED) -> list[Interval | None]:
    """The interval of each; all of them are of equally many prompts, and are drawn together.

    None where fewer than two prompts have a value: of one, nobody knows how it varies.
    """
    if not asked or len(asked[0].parts) < 2:
        return [None] * len(asked)
    held = [_with_imagined(each) for each in asked]
    found = list[Interval | None]([None] * len(asked))
    for size in {len(each.parts) for each in held}:
        places = [at for at, each in enumerate(held) if len(each.parts) == size]
        bounds = _bounds([held[at] for at in places], seed)
        for at, (low, high) in zip(places, bounds, strict=True):
            value, (least, most) = _ratio(asked[at]), asked[at].ends or (-np.inf, np.inf)
            found[at] = Interval(value, min(max(low, least), value), max(min(high, most), value))
    return found


def interval(asked: Sums, seed: int = SEED) -> Interval | None:
    """That of one."""
    return intervals([asked], seed)[0]


def _ratio(sums: Sums) -> float:
    return float(sums.parts.sum() / sums.weights.sum())


def _with_imagined(sums: Sums) -> Sums:
    """With two imagined prompts where too few differ from what most have in common."""
    if sums.ends is None or sums.ends[0] == sums.ends[1]:
        return sums
    _, counts = np.unique(sums.parts, return_counts=True)
    most = int(counts.max())
    if most < 2 or len(sums.parts) - most >= FEW:
        return sums
    return Sums(np.append(sums.parts, sums.ends), np.append(sums.weights, (1.0, 1.0)))


def _bounds(held: Sequence[Sums], seed: int) -> list[tuple[float, float]]:
    """The bounds of ratios of equally many prompts."""
    ratios = np.array([_ratio(each) for each in held])
    away = np.stack(
        [each.parts - ratio * each.weights for each, ratio in zip(held, ratios, strict=True)]
    )
    weights = np.stack([each.weights for each in held])
    count = away.shape[1]
    errors = np.sqrt((away**2).mean(axis=1) / count) / weights.mean(axis=1)
    if count > MOST_DRAWN:
        reach = USUAL * errors
        return list(zip((ratios - reach).tolist(), (ratios + reach).tolist(), strict=True))
    students = _students(away, weights, _drawn(count, seed))
    # The same reach to both sides: of the skewed, it holds the truth more surely than two tails do.
    reach = np.maximum(np.quantile(np.abs(students), LEVEL, axis=0), least_reach(count)) * errors
    return list(zip((ratios - reach).tolist(), (ratios + reach).tolist(), strict=True))


def least_reach(count: int) -> float:
    """By how many of the errors of so many prompts an interval reaches at least to either side:
    what Student's t says, for the drawn ones of few prompts vary less than the truth does. The
    errors are those of these prompts, so that one degree of freedom is made up for."""
    freedom = count - 1
    return student(freedom) * float(np.sqrt(count / freedom))


def student(freedom: int) -> float:
    """The quantile of Student's t for ``LEVEL``: exact for 1 and 2, else by Cornish and Fisher,
    which is off by less than 0.2 %."""
    if freedom == 1:
        return float(np.tan(np.pi * LEVEL / 2))
    if freedom == 2:
        return float(LEVEL * np.sqrt(2 / (1 - LEVEL**2)))
    z = USUAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / float(freedom) ** nr for nr, term in enumerate(terms, 1))


def _students(away: Floats, weights: Floats, drawn: npt.NDArray[np.uint8]) -> Floats:
    """Student's t of each ratio in each draw: how far it went off, in its own standard errors."""
    size, count = away.shape
    plain = bool((weights == 1).all())
    columns = [away, away**2]
    if not plain:
        columns += [weights, weights**2, away * weights]
    every = np.concatenate(columns).T
    rows = max(1, AT_ONCE // count)
    parts = [drawn[at : at + rows].astype(np.float64) @ every for at in range(0, DRAWS, rows)]
    moments = np.concatenate(parts) / count
    means = [moments[:, at * size : (at + 1) * size] for at in range(len(columns))]
    first, second = means[:2]
    weight, weight2, cross = means[2:] if not plain else (1.0, 1.0, first)
    off = first / weight
    variance = np.maximum(second - 2 * off * cross + off**2 * weight2, 0.0)
    # A draw of prompts that are all alike tells nothing of how they vary.
    varies = variance > 1e-9 * (away**2).mean(axis=1)
    error = np.sqrt(variance / count) / weight
    result: Floats = np.divide(off, error, out=np.zeros_like(off), where=varies)
    return result


@lru_cache(maxsize=4)
def _drawn(count: int, seed: int) -> npt.NDArray[np.uint8]:
    """How often each of the prompts comes in each draw. It is what takes the time, and is the same
    for all that is asked of so many prompts."""
    draws, rows = np.random.default_rng(seed), max(1, AT_ONCE // count)
    times = np.empty((DRAWS, count), np.uint8)
    for at in range(0, DRAWS, rows):
        some = min(rows, DRAWS - at)
        places: Any = draws.integers(0, count, (some, count))
        places += (np.arange(some) * count)[:, None]
        drawn = np.bincount(places.ravel(), minlength=some * count)
        times[at : at + some] = drawn.reshape(some, count)
    return times
