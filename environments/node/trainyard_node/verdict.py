"""The `exit_code` file: written once, at the end, even on a full disk."""

import contextlib
import os
import time
from pathlib import Path

from trainyard_node.attempt import Attempt, part_of

ROOM = 16
RETRY_SECONDS = 5.0
RETRIES = 720


def reserve(attempt: Attempt) -> None:
    """Reserve the few bytes of the exit code now, while the disk has room. Raises OSError."""
    with part_of(attempt.exit_code).open("w") as file:
        file.write(" " * ROOM)
        file.flush()
        os.fsync(file.fileno())


def write(attempt: Attempt, code: int) -> None:
    """Write `code`. On a failing disk it retries for an hour, then gives up; it gives up at once if
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
    for path in (part, attempt.exit_code):
        _put_away(path)
    # Overwriting the reserved bytes needs no new block on most file systems.
    with part.open("r+" if part.exists() else "w") as file:
        file.write(f"{code}\n")
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    part.replace(attempt.exit_code)


def _put_away(path: Path) -> None:
    """Move what the run left in the place of a file: a folder, a pipe, a link."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.rename(path.with_name(f".{path.name}.{time.time_ns()}"))
