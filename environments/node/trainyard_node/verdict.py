"""The `exit_code` file: written once, last, and on a full disk too."""

import contextlib
import os
import time

from trainyard_node.attempt import Attempt, part_of

ROOM = 16
RETRY_SECONDS = 5.0
RETRIES = 720


def reserve(attempt: Attempt) -> None:
    """Take the few bytes for the verdict now, while the disk has them. Raises OSError."""
    with part_of(attempt.exit_code).open("w") as file:
        file.write(" " * ROOM)
        file.flush()
        os.fsync(file.fileno())


def write(attempt: Attempt, code: int) -> None:
    """Put `code` in place. On a failing disk it is tried for an hour, then given up; at once where
    the directory was removed."""
    for _ in range(RETRIES):
        if not attempt.root.exists():
            return
        with contextlib.suppress(OSError):
            _write_once(attempt, code)
            return
        time.sleep(RETRY_SECONDS)


def _write_once(attempt: Attempt, code: int) -> None:
    part = part_of(attempt.exit_code)
    # Written over the reserved bytes: that needs no new block on most file systems.
    with part.open("r+" if part.exists() else "w") as file:
        file.write(f"{code}\n")
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    part.replace(attempt.exit_code)
