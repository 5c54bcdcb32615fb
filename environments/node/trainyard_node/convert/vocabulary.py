"""A model with another size of its vocabulary: rows are cut off, or added behind the others."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.merge.folder import token_numbers
from trainyard_node.merge.layout import EMBEDDING, HEAD
from trainyard_node.merge.stored import Entry, Stored
from trainyard_node.merge.view import View

STEP = 4096  # rows that are read at a time


class Resized(View):
    """`stored` with `size` rows in its embedding and, where it has one, its head. A new row is the
    mean of the old ones of its own tensor.

    Raises Refused where there is no embedding of the size that the configuration says.
    """

    def __init__(self, stored: Stored, size: int) -> None:
        super().__init__(stored)
        self._size = size
        self._before = stored.config.get("vocab_size")
        self.config = {**stored.config, "vocab_size": size}
        self._words = [name for name in stored.entries if name.endswith((EMBEDDING, HEAD))]
        if not any(name.endswith(EMBEDDING) for name in self._words):
            raise Refused(f"{stored.root} has no {EMBEDDING} whose rows could be changed.")
        for name in self._words:
            if stored.entries[name].shape[0] != self._before:
                raise Refused(
                    f"{name} of {stored.root} has {stored.entries[name].shape[0]} rows, and its "
                    f"configuration says vocab_size {self._before}."
                )
        self._check_room()
        self.entries: Mapping[str, Entry] = {
            name: self._resized(entry) for name, entry in stored.entries.items()
        }

    def _check_room(self) -> None:
        """Raises Refused where a token would have no row, or a part of the head its old size."""
        if "lm_head.bias" in self._stored.entries:
            raise Refused(f"{self.root} has a bias in its output head, which is not resized.")
        given = [value for key, value in self.config.items() if key.endswith("_token_id")]
        given += [value for value in token_numbers(self.root).values()]
        numbers = [one for each in given for one in (each if isinstance(each, list) else [each])]
        highest = max((one for one in numbers if type(one) is int), default=-1)
        if highest >= self._size:
            raise Refused(
                f"{self.root} has a token of the number {highest}, which needs a vocabulary of "
                f"{highest + 1} rows or more, not {self._size}."
            )

    def rows(self, name: str, first: int, end: int) -> Tensor:
        """Rows of a tensor as (rows, width), in its own type; a vector is one row."""
        before = self._stored.entries[name].shape[0] if name in self._words else end
        if end <= before:
            return self._stored.rows(name, first, end)
        mean = self._means[name]
        new = mean.expand(end - max(first, before), -1)
        return torch.cat([self._stored.rows(name, first, before), new]) if first < before else new

    @cached_property
    def _means(self) -> Mapping[str, Tensor]:
        """By tensor, the mean of its old rows, added up in double precision."""
        return {name: self._mean(name) for name in self._words}

    def _mean(self, name: str) -> Tensor:
        entry = self._stored.entries[name]
        count = entry.shape[0]
        total = torch.zeros(1, entry.shape[1], dtype=torch.float64)
        for first in range(0, count, STEP):
            total += self._stored.rows(name, first, min(count, first + STEP)).double().sum(0)
        return (total / count).to(entry.dtype)

    def _resized(self, entry: Entry) -> Entry:
        if entry.name not in self._words:
            return entry
        return Entry(entry.name, (self._size, *entry.shape[1:]), entry.dtype, entry.file)
