"""The figures of one evaluation, each with its interval, computed from what each prompt scored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evaluations.statistics.pass_at_k import pass_at
from evaluations.statistics.resampling import Floats, Interval, Sums, interval, mean_of
from evaluations.statistics.scores import Scores
from jobs.verl.better import is_higher_better

Bools: TypeAlias = npt.NDArray[np.bool_]
Sides: TypeAlias = Mapping[str, bool]  # of a figure, whether more of it is better
NONE_SAID: Sides = {}

LOSS, ANSWERS, TASKS = "loss", "answers", "tasks"
MEAN, BEST, PASS, OF_LOSS = "eval/score/mean", "eval/score/best", "eval/pass@", "eval/loss"
PERPLEXITY = "eval/perplexity"
RIGHT = 0.5  # of an answer that is right, the part of the reward that says so is above it


@dataclass(frozen=True)
class Measure:
    """One figure of each prompt. ``is_higher`` says whether more of it is better; None is not
    known."""

    name: str
    values: Floats
    weights: Floats
    is_higher: bool | None = True

    @property
    def each(self) -> Floats:
        """The figure of each prompt alone; NaN where it is not known."""
        found: Floats = np.divide(
            self.values, self.weights, out=np.full(len(self.values), np.nan),
            where=self.weights > 0,
        )  # fmt: skip
        return found

    @property
    def known(self) -> Bools:
        found: Bools = np.isfinite(self.each)
        return found


def measures(scores: Scores, way: str, sides: Sides = NONE_SAID) -> list[Measure]:
    """The figures of an evaluation in the order of importance. ``sides`` is what its evaluator said
    of them: whether more is better."""
    if not len(scores):
        return []
    if way == LOSS:
        return [Measure(OF_LOSS, scores.values[:, 0], scores.weights, is_higher=False)]
    return list(_of_tasks(scores, sides) if way == TASKS else _of_answers(scores))


def _of_answers(scores: Scores) -> Iterator[Measure]:
    ones = np.ones(len(scores))
    values = scores.values
    yield Measure(MEAN, mean_known(values), ones)
    says = scores.right if scores.right.shape == values.shape else values
    if _says_yes_or_no(says):
        known = ~np.isnan(says)
        answers, right = known.sum(axis=1), (says > RIGHT).sum(axis=1)
        for k in _ks(scores.samples):
            yield Measure(f"{PASS}{k}", pass_at(k, answers, right), ones)
    if scores.samples > 1:
        best = np.where(np.isnan(values), -np.inf, values).max(axis=1)
        yield Measure(BEST, np.where(np.isfinite(best), best, np.nan), ones)


def _ks(samples: int) -> list[int]:
    """Of how many answers one must be right: as an evaluation tells it, 1, 2, 4 and so on."""
    return sorted({samples, *(1 << power for power in range(samples.bit_length()))})


def _says_yes_or_no(values: Floats) -> bool:
    """Whether the values tell right answers from wrong ones: a score of 0.7 does not."""
    return bool((np.isnan(values) | (values == 0) | (values == 1)).all())


def _of_tasks(scores: Scores, sides: Sides) -> Iterator[Measure]:
    ones, each = np.ones(len(scores)), mean_known(scores.values)
    for number, name in enumerate(scores.tasks):
        values = np.where(scores.task == number, each, np.nan)
        yield Measure(name, values, ones, sides.get(name, is_higher_better(name)))


def mean_known(values: Floats) -> Floats:
    """The mean of the known values of each row; NaN where none is."""
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    result: Floats = np.divide(total, counts, out=np.full(len(values), np.nan), where=counts > 0)
    return result


def figures_of(scores: Scores, way: str) -> dict[str, Interval]:
    """The interval of each figure that at least two prompts have, by its name."""
    found = dict[str, Interval]()
    for each in measures(scores, way):
        if each.known.sum() > 1 and (told := interval(_sums(each))):
            found[each.name] = told
    return found


def _sums(measure: Measure) -> Sums:
    there = measure.known
    parts, weights = measure.values[there], measure.weights[there]
    if not (weights == 1).all():
        return Sums(parts, weights)
    low, high = float(parts.min()), float(parts.max())
    is_share = low >= 0 and high <= 1
    return mean_of(parts, (0.0, 1.0) if is_share else (low, high))
