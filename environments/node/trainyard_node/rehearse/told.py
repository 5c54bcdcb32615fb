"""The report of a trial, which grows with each part and is told in the run directory."""

import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainyard_node.attempt import Attempt, Lines
from trainyard_node.events import EventName
from trainyard_node.record import RUN_DIR, tell

PASSED, WARNED, FAILED, SKIPPED = "passed", "warned", "failed", "skipped"
LONGEST = 600  # characters of a sentence


class Told:
    """Each part as it ends becomes an event with all parts so far, and a step of the metrics.

    ``trial`` is what the metrics are named after, ``kind`` that of the event, and ``more`` gives
    what else is known by then.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        trial: str = "rehearsal",
        kind: EventName = "rehearsed",
        more: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.names, self.trial, self.kind, self.more = names, trial, kind, more
        self.parts: list[dict[str, object]] = []
        directory = os.environ.get(RUN_DIR)
        attempt = Attempt(Path(directory)) if directory else None
        self._metrics = Lines(attempt.root / "metrics.jsonl") if attempt else None
        tell("planned", f"{len(names)} parts to try", steps=len(names))

    def part(self, name: str, state: str, said: str, seconds: float) -> None:
        said = said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"
        self.parts.append(
            {"name": name, "state": state, "said": said, "seconds": round(seconds, 1)}
        )
        is_last = len(self.parts) == len(self.names)
        print(f"trainyard_node: {name} {state}: {said}", flush=True)
        found = {**self._known(), "parts": self.parts, "is_last": is_last}
        tell(self.kind, f"{name} {state}: {said}", **found)
        if state == FAILED:
            tell("fault_found", f"{name}: {said}")
        if self._metrics:
            data = {f"{self.trial}/{name}_seconds": seconds}
            self._metrics.append({"step": len(self.parts), "data": data})

    def _known(self) -> Mapping[str, Any]:
        """What else is known; a fault in it takes no part of the report with it."""
        try:
            return self.more()
        except Exception:
            traceback.print_exc()
            return {}

    @property
    def has_failed(self) -> bool:
        return any(part["state"] == FAILED for part in self.parts)
