"""Requests to a running trainer: empty files in the attempt's `control` folder."""

import functools
import os
import sys
from pathlib import Path
from typing import Literal, Self, TypeAlias

from trainyard_node.attempt import Attempt, Lines, record_event
from trainyard_node.record import RUN_DIR

Asked: TypeAlias = Literal["pause", "save"]
# The requests that a checkpoint answers: a pause saves as well.
ANSWERS: dict[Asked, tuple[Asked, ...]] = {"pause": ("pause", "save"), "save": ("save",)}


class Control:
    """The requests to one run. An unreadable request counts as none and is logged once, so that
    nothing here ever ends a training."""

    def __init__(self, root: Path) -> None:
        self._attempt = Attempt(root)
        # Answered requests that could not be removed, by name and time.
        self._answered: set[tuple[str, int]] = set()

    @classmethod
    def of_this_run(cls) -> Self | None:
        """The control of this process's run; None when the wrapper did not start this process."""
        directory = os.environ.get(RUN_DIR)
        return cls(Path(directory)) if directory else None

    def look(self) -> Asked | None:
        """The current request, or None. A pause takes precedence over a save."""
        for name in ANSWERS:
            made = self._made(name)
            if made is not None and (name, made) not in self._answered:
                return name
        return None

    def saved(self, asked: Asked) -> None:
        """Remove the request `asked`, whose checkpoint is saved."""
        for name in ANSWERS[asked]:
            self._remove(name)

    def paused(self, step: int) -> None:
        """Report that the run ends on request, with `step` done and saved."""
        message = f"paused after step {step}; its checkpoint is saved"
        print(f"trainyard_node: {message}", flush=True)
        record_event(Lines(self._attempt.events), "paused", message, step=step)

    def _made(self, name: str) -> int | None:
        try:
            return (self._attempt.control / name).stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            say_once(f"cannot see whether a {name} is asked for: {error}")
            return None

    def _remove(self, name: str) -> None:
        made = self._made(name)
        if made is None:
            return
        try:
            (self._attempt.control / name).unlink(missing_ok=True)
        except OSError as error:
            # Without this, each later step would be saved.
            self._answered.add((name, made))
            say_once(f"the request to {name} is answered and cannot be removed: {error}")


@functools.cache
def say_once(message: str) -> None:
    """Write a line to the run's log, the first time only."""
    print(f"trainyard_node: {message}", file=sys.stderr, flush=True)
