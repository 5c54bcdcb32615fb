"""Folders of a run that are of no use once it has ended. The run deletes them; where it was killed,
who ended it does."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from trainyard_node.attempt import Attempt, Lines
from trainyard_node.record import RUN_DIR

TEMPORARY = "trainyard-"  # what the names of the node's own temporary folders begin with


def announce(folders: Iterable[Path]) -> None:
    """Say which folders are to go with this run; nothing where no wrapper started it."""
    directory = os.environ.get(RUN_DIR)
    if not directory:
        return
    attempt = Attempt.at(directory)
    with contextlib.suppress(OSError):
        attempt.discards.parent.mkdir(exist_ok=True)
    for folder in folders:
        Lines(attempt.discards).append({"folder": str(folder)})


def carry_out(attempt: Attempt) -> None:
    """Delete what the run announced and has left. No process of it may live any more."""
    for folder in _announced(attempt):
        if _is_own(attempt, folder):
            shutil.rmtree(folder, ignore_errors=True)


def _announced(attempt: Attempt) -> Iterator[Path]:
    if not attempt.discards.is_file():
        return
    for line in attempt.discards.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            yield Path(json.loads(line)["folder"])


def _is_own(attempt: Attempt, folder: Path) -> bool:
    """Below the attempt's directory, or one of the node's own temporary folders. What a link leads
    to is nobody's to delete."""
    if not folder.is_absolute() or folder.is_symlink():
        return False
    there = folder.resolve()
    temporary = Path(tempfile.gettempdir()).resolve()
    is_temporary = there.parent == temporary and there.name.startswith(TEMPORARY)
    return is_temporary or attempt.root in there.parents
