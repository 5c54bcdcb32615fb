"""Count the rows of SFT that are cut at the longest row: verl cuts them without a word.

The data set marks each row with the tokens that it lost; the mark leaves the batch before verl's
engine sees it, so that every step counts its own rows, however far the loader reads ahead.
"""

import functools
from typing import Any

import torch
from verl.utils import tensordict_utils

from trainyard_node.hooks import shape
from trainyard_node.hooks.tally import Tally

METRIC = "train/rows_cut"
KEY, MARKS, TOKENS = "trainyard_cut", "_trainyard_marks", "_trainyard_tokens"


def attach(dataset: Any) -> bool:
    """Teach verl's data set to mark its rows. If verl differs, return False and log a line."""
    return shape.attached(lambda: _attach(dataset), "does not count rows that are cut")


def _attach(dataset: Any) -> None:
    if hasattr(dataset, MARKS):
        return
    getitem, process = dataset.__getitem__, dataset._process_single_message
    shape.check(getitem, ("self", "item"), ("max_length", "truncation", "_process_single_message"))
    setattr(dataset, MARKS, False)

    @functools.wraps(process)
    def counting(self: Any, *args: Any, **options: Any) -> Any:
        ids, *rest = process(self, *args, **options)
        setattr(self, TOKENS, getattr(self, TOKENS, 0) + len(ids))
        return (ids, *rest)

    @functools.wraps(getitem)
    def marking(self: Any, item: Any) -> Any:
        setattr(self, TOKENS, 0)
        row = getitem(self, item)
        if getattr(self, MARKS):
            row[KEY] = torch.tensor([max(0, getattr(self, TOKENS) - self.max_length)])
        return row

    dataset._process_single_message, dataset.__getitem__ = counting, marking


class CutRows:
    """Those of one trainer, counted over all ranks."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        dataset = trainer.train_dataset
        self.is_on = hasattr(dataset, MARKS) and dataset.truncation != "error"
        self._tally = Tally("rows_cut", f"rows were cut at {dataset.max_length} tokens")
        if self.is_on:
            setattr(dataset, MARKS, True)

    def take(self, batch: Any) -> int | None:
        """Take the marks out of a batch; how many of its rows were cut, over all ranks."""
        if not self.is_on or KEY not in batch:
            return None
        marks = batch.pop(KEY)
        lost = marks.values() if marks.is_nested else marks
        return self._summed(int((lost > 0).sum()))

    def tell(self, step: int, count: int | None, output: Any) -> None:
        """Put the count among the step's metrics, and into an event; on the rank that logs."""
        if count is None or torch.distributed.get_rank() != 0:
            return
        tensordict_utils.get(output, "metrics")[METRIC] = count
        self._tally.add(step, count, self._trainer.global_batch_size)

    def close(self) -> None:
        """At the end of the run."""
        self._tally.close()

    def _summed(self, count: int) -> int:
        group = self._trainer.engine.get_data_parallel_group()
        if group is None:
            return count
        total = torch.tensor([count], device=self._trainer.device_name)
        torch.distributed.all_reduce(total, group=group)
        return int(total.item())
