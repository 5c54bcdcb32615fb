"""Figures of the prompts of a step: of each, what its answers have in common."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monitoring.answers.step import Bools, Floats, Ints, Step


@dataclass(frozen=True)
class Figures:
    """Of each prompt of a step, in the order in which they come first."""

    step: Step

    @cached_property
    def rows(self) -> Ints:
        return np.bincount(self.step.prompt, minlength=self.step.prompts)

    @cached_property
    def answers(self) -> Ints:
        """An answer of several outputs counts once: by its first."""
        begins = self.step.prompt[self.step.output == 0]
        return np.bincount(begins, minlength=self.step.prompts)

    @cached_property
    def missing(self) -> Ints:
        """Answers that failed are not in the file: a prompt that lost some has fewer than others"""
        most = int(self.answers.max(initial=0))
        found: Ints = most - self.answers
        return found

    @cached_property
    def scored(self) -> Ints:
        return np.bincount(self._prompt, minlength=self.step.prompts)

    @cached_property
    def mean(self) -> Floats:
        """NaN where no answer has a score, and where the sum is beyond a float."""
        return _finite(self._sum(self._score) / np.maximum(self.scored, 1), self.scored > 0)

    @cached_property
    def deviation(self) -> Floats:
        """The standard deviation of the scores as GRPO takes it: of a sample."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares = self._sum((self._score - self.mean[self._prompt]) ** 2)
            found = np.sqrt(squares / np.maximum(self.scored - 1, 1))
        return _finite(found, self.scored > 1)

    @cached_property
    def is_flat(self) -> Bools:
        """All of several answers score the same: an advantage within the group is zero."""
        low, high = np.full(self.step.prompts, np.inf), np.full(self.step.prompts, -np.inf)
        np.minimum.at(low, self._prompt, self._score)
        np.maximum.at(high, self._prompt, self._score)
        found: Bools = (self.scored > 1) & (low == high)
        return found

    @cached_property
    def length(self) -> Floats:
        """Of an answer, on average, in the step's unit."""
        length = self.step.length.astype(np.float64)
        total = np.bincount(self.step.prompt, length, minlength=self.step.prompts)
        return total / np.maximum(self.rows, 1)

    @property
    def of_all(self) -> float | None:
        """The mean score of all answers; None without one, or beyond what a float holds."""
        with np.errstate(over="ignore"):
            mean = float(self._score.mean()) if len(self._score) else np.nan
        return mean if np.isfinite(mean) else None

    @cached_property
    def _has(self) -> Bools:
        return ~np.isnan(self.step.score)

    @cached_property
    def _score(self) -> Floats:
        return self.step.score[self._has]

    @cached_property
    def _prompt(self) -> Ints:
        return self.step.prompt[self._has]

    def _sum(self, values: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            found: Floats = np.bincount(
                self._prompt, weights=values, minlength=self.step.prompts
            ).astype(np.float64)
            return found


def _finite(values: Floats, is_known: Bools) -> Floats:
    return np.where(is_known & np.isfinite(values), values, np.nan)


def changes(now: Figures, before: Figures) -> Floats:
    """By how much the mean score of a prompt differs from that of the same text in another step;
    NaN where it is not among its prompts. Of equal texts in one step the first counts."""
    texts, first = np.unique(before.step.texts, return_index=True)
    if not len(texts):
        return np.full(now.step.prompts, np.nan)
    place = np.minimum(np.searchsorted(texts, now.step.texts), len(texts) - 1)
    is_there = texts[place] == now.step.texts
    return np.where(is_there, now.mean - before.mean[first[place]], np.nan)
