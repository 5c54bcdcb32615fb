"""What the driver counts as taken of the cards of this run while it trains: by all processes, also
by that of the rollout."""

import os
import threading
from pathlib import Path
from typing import Self

from trainyard_node.attempt import Lines
from trainyard_node.gpus import Gpus

FILE = "card.jsonl"
EVERY = 0.2  # seconds
LITTLE = 16 << 20  # bytes: a smaller change is not written


class Watch:
    """While it is entered, it writes the fullest of the cards whenever that changes."""

    def __init__(self, root: Path) -> None:
        self._lines, self._gpus = Lines(root / FILE), Gpus()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _look(self) -> None:
        last = -LITTLE
        chosen = visible(os.environ.get("CUDA_VISIBLE_DEVICES"))
        while not self._ends.wait(EVERY):
            cards = [
                card
                for card in self._gpus.read()
                if (chosen is None or card["index"] in chosen) and card["memory_used"] is not None
            ]
            if not cards:
                return  # there is none, and none will come
            fullest = max(cards, key=lambda card: int(card["memory_used"]))
            if abs(fullest["memory_used"] - last) >= LITTLE:
                last = fullest["memory_used"]
                self._lines.append({"used": last, "total": fullest["memory_total"]})


def visible(text: str | None) -> set[int] | None:
    """The numbers of the cards that a process may use; None for all, and for other names."""
    numbers = (text or "").split(",")
    return {int(one) for one in numbers} if all(one.isdecimal() for one in numbers) else None
