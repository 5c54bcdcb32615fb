"""Comparisons whose truth is known: what each prompt gained, and what it gains on average."""

import numpy as np
import numpy.typing as npt

from evaluations.statistics.resampling import Sums, intervals, mean_of

Floats = npt.NDArray[np.float64]
BINARY, REAL, SKEWED, RARE = "binary", "real", "skewed", "rare"
AT_ONCE = 250


def gains(
    kind: str, prompts: int, samples: int, draws: np.random.Generator
) -> tuple[Floats, float]:
    """What the second of two models gained at each prompt, and the true mean of it."""
    size = (prompts, samples)
    if kind == REAL:
        ease = draws.normal(0, 1, prompts)[:, None]
        first, second = ease + draws.normal(0, 0.5, size), ease + draws.normal(0.1, 0.5, size)
        return second.mean(axis=1) - first.mean(axis=1), 0.1
    if kind == SKEWED:
        first, second = draws.exponential(1, size), draws.gamma(1, 1.2, size)
        return second.mean(axis=1) - first.mean(axis=1), 0.2
    if kind == RARE:  # the first is right nearly always, and half of what it misses is gained
        ease = draws.beta(10, 1, prompts)
        better, truth = ease + 0.5 * (1 - ease), 0.5 / 11
    else:
        ease = draws.beta(1, 1, prompts)
        better, truth = ease + 0.2 * draws.random(prompts) * (1 - ease), 0.05
    was = draws.random(size) < ease[:, None]
    became = draws.random(size) < better[:, None]
    return became.mean(axis=1) - was.mean(axis=1), truth


def asked(apart: Floats) -> Sums:
    """As ``paired`` asks for it."""
    widest = float(np.abs(apart).max())
    return mean_of(apart, (-widest, widest))


def coverage(kind: str, prompts: int, samples: int, times: int = 1000, seed: int = 1) -> float:
    """The share of simulated comparisons whose interval holds the truth."""
    draws = np.random.default_rng(seed)
    held = 0
    for start in range(0, times, AT_ONCE):
        made = [gains(kind, prompts, samples, draws) for _ in range(min(AT_ONCE, times - start))]
        found = intervals([asked(apart) for apart, _ in made])
        held += sum(
            each is not None and each.low <= truth <= each.high
            for each, (_, truth) in zip(found, made, strict=True)
        )
    return held / times
