"""Scan a data set once: check that all pairs fit, and compute reference log-probabilities."""

from collections.abc import Callable
from typing import Any

import torch

from trainyard_node.dpo.data import Batch, PairDataset, batches, pair_tokens
from trainyard_node.dpo.engine import Engine
from trainyard_node.dpo.kept import Kept, Scan
from trainyard_node.dpo.order import every_row

Say = Callable[[str], None]


class Scanner:
    """Reads whole data sets with the engine, on all ranks together. Use it before a checkpoint is
    loaded: the model must be the one that the run began with."""

    def __init__(self, engine: Engine, data: Any, split: str, say: Say) -> None:
        self._engine, self._batch_size = engine, data.train_batch_size
        self._workers, self._split, self._say = data.num_workers, split, say

    def log_probs(self, dataset: PairDataset, kept: Kept) -> Scan:
        """The stored scan, else a new one, which is then stored. Every rank gets the whole scan.

        Raises Refused where a pair cannot be trained on.
        """
        found = self._engine.from_first_rank(kept.read)
        if found is not None:
            self._say(
                f"Reference log-probabilities, {self._split}: found those of all "
                f"{len(dataset)} pairs"
            )
            self._engine.check_fits(found.longest)
            return found
        found = self._scan(dataset, "Reference log-probabilities", self._reference)
        self._engine.from_first_rank(lambda: kept.write(found))
        return found

    def lengths(self, dataset: PairDataset) -> Scan:
        """Scan the lengths only, without the model. Raises Refused where a pair does not fit."""
        return self._scan(dataset, "Lengths", None)

    def _reference(self, batch: Batch) -> torch.Tensor:
        return self._engine.log_probs(batch, without_adapter=False)

    def _scan(
        self, dataset: PairDataset, what: str, measure: Callable[[Batch], torch.Tensor] | None
    ) -> Scan:
        slots = every_row(len(dataset), self._batch_size, self._engine.share)
        # One rank fills in each row; the sum over ranks is the whole table.
        table = torch.zeros(len(dataset) if measure else 0, 2)
        cut = longest = 0
        for number, batch in enumerate(batches(dataset, slots, self._workers), 1):
            real = batch["weight"][::2] > 0
            cut += int((batch["cut"][real] > 0).sum())
            longest = max(longest, int(pair_tokens(batch).max()))
            self._engine.check_fits(longest)
            if measure:
                table[batch["rows"][real]] = measure(batch).view(-1, 2)[real]
            if _is_tenth(number, len(slots)):
                done = min(number * self._batch_size, len(dataset))
                self._say(f"{what}, {self._split}: {done} of {len(dataset)} pairs")
        return Scan(self._engine.summed(table), self._engine.total(cut), self._engine.most(longest))


def _is_tenth(number: int, of: int) -> bool:
    return number * 10 // of > (number - 1) * 10 // of
