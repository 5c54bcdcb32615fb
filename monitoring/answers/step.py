"""The answers of a step as columns: all that is counted, sorted and filtered by, without the texts.

A row of the file has an entry in each column, in the file's order. Rows with which verl filled up a
batch have none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from monitoring.answers.rows import LeftOut, Row, rows_at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
MOST_PARTS = 20  # of the reward, as columns


@dataclass(frozen=True)
class Step:
    """``score``, ``advantage`` and the parts are NaN where a row has none, ``tokens`` and
    ``trained`` -1. ``prompt`` is the place of a row's prompt in ``keys`` and ``texts``, which hold
    digests of what its rows have in common, and of its text."""

    path: Path
    offset: Ints
    size: Ints
    prompt: Ints
    answer: Ints  # its number among those to a prompt; -1 where the file says none
    output: Ints  # of the answer's several
    score: Floats
    characters: Ints
    tokens: Ints
    trained: Ints
    advantage: Floats  # that verl computed, as the node wrote it down
    parts: Mapping[str, Floats]
    keys: npt.NDArray[np.uint64]
    texts: npt.NDArray[np.uint64]
    padding: int
    left_out: LeftOut

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def prompts(self) -> int:
        return len(self.keys)

    @cached_property
    def has_tokens(self) -> bool:
        return bool(len(self)) and bool((self.tokens >= 0).all())

    @property
    def unit(self) -> str:
        """What ``length`` counts."""
        return "tokens" if self.has_tokens else "characters"

    @property
    def length(self) -> Ints:
        return self.tokens if self.has_tokens else self.characters

    @cached_property
    def is_last(self) -> Bools:
        """Whether a row is the last output of its answer: the one whose score counts."""
        if not self.output.any():
            return np.ones(len(self), np.bool_)
        order = np.lexsort((self.output, self._own, self.prompt))
        prompt, own = self.prompt[order], self._own[order]
        ends = np.append((prompt[1:] != prompt[:-1]) | (own[1:] != own[:-1]), True)
        found = np.zeros(len(self), np.bool_)
        found[order] = ends
        return found

    @cached_property
    def last(self) -> Ints:
        """For each row the row of the last output of its answer."""
        rows = np.arange(len(self))
        if self.is_last.all():
            return rows
        order = np.lexsort((self.output, self._own, self.prompt))
        ends = np.flatnonzero(self.is_last[order])
        found = np.empty(len(self), np.int64)
        found[order] = order[ends[np.searchsorted(ends, rows)]]
        return found

    @property
    def _own(self) -> Ints:
        """A number for each answer; a row without one is an answer by itself."""
        return np.where(self.answer >= 0, self.answer, -1 - np.arange(len(self)))

    @cached_property
    def first(self) -> Ints:
        """The first row of each prompt."""
        return np.unique(self.prompt, return_index=True)[1]

    def rows(self, chosen: Ints) -> Iterator[Row]:
        """The chosen rows with their texts. Raises ``OSError``; a row that is gone is empty."""
        places = zip(self.offset[chosen].tolist(), self.size[chosen].tolist(), strict=True)
        for row in rows_at(self.path, places):
            yield {"input": None} if row is None else row

    def place_of(self, key: str) -> int | None:
        """The place of the prompt with a key as pages name it."""
        found = np.flatnonzero(self.keys == np.uint64(int(key, 16)))
        return int(found[0]) if len(found) else None

    def at(self, path: Path) -> "Step":
        return replace(self, path=path)


def key_text(key: np.uint64 | int) -> str:
    return f"{int(key):016x}"
