"""Greedy soup: of several models those whose average scores best, one tried after the other.

Wortsman et al. 2022, https://arxiv.org/abs/2203.05482, recipe 1: the models are sorted by a score;
the average begins with the best, and each next one stays in it where its score does not get worse.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trainyard_node.average.spec import Checkpoint
from trainyard_node.export.refused import Refused

Scored = Callable[[Sequence[Checkpoint]], float]  # of the plain mean of these; lower is better


@dataclass(frozen=True)
class Tried:
    """`score` is that of the average with this one in it; it is kept where no worse."""

    checkpoint: Checkpoint
    score: float
    is_kept: bool


def by_value(candidates: Sequence[Checkpoint], higher_is_better: bool) -> list[Checkpoint]:
    """The best first; of equal ones the later. All have a value."""
    sign = -1 if higher_is_better else 1
    return sorted(candidates, key=lambda each: (sign * (each.value or 0.0), -each.step))


def by_score(candidates: Sequence[Checkpoint], score: Scored) -> list[Checkpoint]:
    """The best first, each scored alone; those without a finite score last."""
    alone = {each: score([each]) for each in candidates}
    return sorted(candidates, key=lambda each: (_worst_last(alone[each]), -each.step))


def tried(ordered: Sequence[Checkpoint], score: Scored) -> Iterator[Tried]:
    """Each as it was tried, in their order."""
    kept: list[Checkpoint] = []
    best = math.inf
    for each in ordered:
        found = score([*kept, each])
        if not kept and not math.isfinite(found):
            raise Refused(
                f"The model of step {each.step}, the first in order, has no finite score."
            )
        is_kept = found <= best  # never for NaN
        if is_kept:
            kept.append(each)
            best = found
        yield Tried(each, found, is_kept)


def _worst_last(score: float) -> float:
    return score if math.isfinite(score) else math.inf
