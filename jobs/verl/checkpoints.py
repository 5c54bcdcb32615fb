"""Checkpoints in verl's layout: ``checkpoints/global_step_N``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

NEWEST_STEP_FILE = "latest_checkpointed_iteration.txt"
LARGEST = 2**63 - 1  # bytes that a column holds; holes in files count as bytes, too
STEP_DIR = re.compile(r"global_step_([0-9]{1,9})")  # a step of nine figures fits every database


class FileFact(Protocol):
    """A file below the run directory: relative path, bytes, and change time (epoch seconds)."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def modified(self) -> float: ...


@dataclass(frozen=True)
class Checkpoint:
    """A saved step. ``size`` is in bytes; ``has_hf`` when a Hugging Face folder is inside.

    ``complete`` is false while it is being written, or if writing was cut off.
    """

    step: int
    path: str
    size: int
    modified: datetime
    has_hf: bool
    complete: bool


def find_checkpoints(files: Iterable[FileFact], latest: int) -> list[Checkpoint]:
    """Group files below ``checkpoints/`` by step, newest step first.

    ``latest`` is the step in verl's ``latest_checkpointed_iteration.txt``, 0 without that file.
    verl writes the file when a save is done, so a later step is not complete.
    """
    steps: dict[str, list[FileFact]] = {}
    for file in files:
        head, _, rest = file.path.removeprefix("checkpoints/").partition("/")
        if rest and STEP_DIR.fullmatch(head):
            steps.setdefault(head, []).append(file)
    found = [_checkpoint(name, group, latest) for name, group in steps.items()]
    return sorted(found, key=lambda checkpoint: -checkpoint.step)


def _checkpoint(name: str, files: list[FileFact], latest: int) -> Checkpoint:
    newest = max(file.modified for file in files)
    step = int(name.removeprefix("global_step_"))
    return Checkpoint(
        step=step,
        complete=step <= latest,
        path=f"checkpoints/{name}",
        size=min(sum(file.size for file in files), LARGEST),
        modified=datetime.fromtimestamp(newest, UTC),
        has_hf=any("/huggingface/" in f.path and f.path.endswith(".safetensors") for f in files),
    )
