"""The order in which pairs are read, and the part of each rank."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainyard_node.dpo.data import Slot


@dataclass
class Order:
    """The pairs of each step, the same for any number of ranks. Each epoch shuffles all rows by
    seed and epoch, and cuts them into batches; rows that fill no batch are left out of that epoch.
    """

    rows: int
    batch_size: int
    seed: int
    _shuffled: dict[int, list[int]] = field(default_factory=dict, repr=False)

    @property
    def steps_per_epoch(self) -> int:
        return self.rows // self.batch_size

    def batch(self, step: int) -> list[int]:
        """The rows of `step`; the first is 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.batch_size
        return self._epoch(epoch)[start : start + self.batch_size]

    def _epoch(self, epoch: int) -> list[int]:
        if epoch not in self._shuffled:
            rows = list(range(self.rows))
            random.Random(f"{self.seed}/{epoch}").shuffle(rows)
            self._shuffled = {epoch: rows}
        return self._shuffled[epoch]


@dataclass(frozen=True)
class Share:
    """A data-parallel rank's part of each batch."""

    rank: int
    ranks: int

    def of(self, batch: Sequence[Slot]) -> list[Slot]:
        """This rank's part; the number of ranks must divide the batch."""
        size = len(batch) // self.ranks
        return list(batch[self.rank * size : (self.rank + 1) * size])


class Training:
    """The slots of the remaining steps. verl's checkpoints hold its state: the next step, and the
    settings that determine the order of the rows."""

    def __init__(self, order: Order, share: Share, steps: int) -> None:
        self._order, self._share, self._steps = order, share, steps
        self.next_step = 0
        self.warnings: list[str] = []

    def __iter__(self) -> Iterator[list[Slot]]:
        for step in range(self.next_step, self._steps):
            yield self._share.of([(row, 1.0) for row in self._order.batch(step)])

    def __len__(self) -> int:
        return max(0, self._steps - self.next_step)

    def state_dict(self) -> dict[str, Any]:
        return {"next_step": self.next_step, **self._facts()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.next_step = int(state["next_step"])
        changed = {name: now for name, now in self._facts().items() if state.get(name) != now}
        self.warnings = [
            f"{name} was {state.get(name)} at the checkpoint and is {now}: the pairs that follow "
            "are not those that would have followed"
            for name, now in changed.items()
        ]

    def _facts(self) -> dict[str, int]:
        order = self._order
        return {"rows": order.rows, "batch_size": order.batch_size, "seed": order.seed}


def every_row(rows: int, batch_size: int, share: Share) -> list[list[Slot]]:
    """Each row once, in order: this rank's part of batches of `batch_size` (over all ranks).

    Row 0 at weight 0 fills up the last batch, so that every rank has the same work.
    """
    slots: list[Slot] = [(row, 1.0) for row in range(rows)]
    slots += [(0, 0.0)] * (-rows % batch_size)
    return [share.of(slots[start : start + batch_size]) for start in range(0, rows, batch_size)]
