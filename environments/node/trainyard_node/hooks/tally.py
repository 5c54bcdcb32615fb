"""Count over the steps of a run, and say so by few events: the first, each doubling, the last."""

from trainyard_node.events import EventName
from trainyard_node.record import tell


class Tally:
    """`what` says what was counted, such as "answers were cut". The last event has the whole
    number; without a run directory nothing is written."""

    def __init__(self, kind: EventName, what: str) -> None:
        self._kind, self._what = kind, what
        self.total = self.of = self._step = 0
        self._told = (0, 0)

    def add(self, step: int, count: int, of: int) -> None:
        """So many of one step."""
        self.total, self.of, self._step = self.total + count, self.of + of, step
        if self.total >= max(1, 2 * self._told[0]):
            self._tell()

    def close(self) -> None:
        """Tell what was counted since. Call it at the end of the run."""
        if self.total and self._told != (self.total, self.of):
            self._tell()

    def _tell(self) -> None:
        self._told = (self.total, self.of)
        message = f"Up to step {self._step}, {self.total} of {self.of} {self._what}."
        tell(self._kind, message, step=self._step, total=self.total, of=self.of)
