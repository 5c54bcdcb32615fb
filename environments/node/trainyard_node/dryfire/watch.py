"""What the driver counts as taken of the cards of this machine while a run trains: by all
processes, also by that of the rollout."""

import os
import threading
from pathlib import Path
from typing import Any, Self

from trainyard_node.attempt import Lines
from trainyard_node.gpus import Gpus, NotRead

FILE = "card.jsonl"
EVERY = 0.2  # seconds
LITTLE = 16 << 20  # bytes: a smaller change is not written


class Watch:
    """While it is entered, it writes what is taken of each card whenever that changes; at its end
    how many looks failed, if any did."""

    def __init__(self, root: Path) -> None:
        self._lines, self._gpus = Lines(root / FILE), Gpus()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._seen: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _look(self) -> None:
        looks = failed = 0
        while not self._ends.wait(EVERY):
            looks += 1
            try:
                cards = self._gpus.memory()
            except NotRead:
                failed += 1
                continue
            if not cards:
                break  # there is none, and none will come
            for card in cards:
                self._tell(card)
        if failed:
            self._lines.append({"failed": failed, "looks": looks})

    def _tell(self, card: dict[str, Any]) -> None:
        uuid, used = card["uuid"], card["used"]
        if abs(used - self._seen.get(uuid, -LITTLE)) >= LITTLE:
            self._seen[uuid] = used
            named = is_named(card, os.environ.get("CUDA_VISIBLE_DEVICES"))
            line = {"uuid": uuid, "used": used, "total": card["total"], "named": named}
            self._lines.append(line)


def is_named(card: dict[str, Any], text: str | None) -> bool:
    """Whether the cards that a process may use name this one, by its number or its UUID."""
    names = [name.strip() for name in (text or "").split(",")]
    return str(card["index"]) in names or any(
        name.startswith("GPU-") and card["uuid"].startswith(name) for name in names
    )
