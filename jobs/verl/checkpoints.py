"""Checkpoints as verl leaves them: ``checkpoints/global_step_N``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

STEP_DIR = re.compile(r"global_step_(\d+)$")


class FileFact(Protocol):
    """One file below the run directory: path from there, bytes, and change time (epoch)."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def modified(self) -> float: ...


@dataclass(frozen=True)
class Checkpoint:
    """A saved step. ``size`` in bytes; ``has_hf`` when a Hugging Face folder is inside."""

    step: int
    path: str
    size: int
    modified: datetime
    has_hf: bool


def find_checkpoints(files: Iterable[FileFact]) -> list[Checkpoint]:
    """Group files below ``checkpoints/`` by step, newest step first."""
    steps: dict[str, list[FileFact]] = {}
    for file in files:
        head, _, rest = file.path.removeprefix("checkpoints/").partition("/")
        if rest and STEP_DIR.match(head):
            steps.setdefault(head, []).append(file)
    found = [_checkpoint(name, group) for name, group in steps.items()]
    return sorted(found, key=lambda checkpoint: -checkpoint.step)


def _checkpoint(name: str, files: list[FileFact]) -> Checkpoint:
    newest = max(file.modified for file in files)
    return Checkpoint(
        step=int(name.removeprefix("global_step_")),
        path=f"checkpoints/{name}",
        size=sum(file.size for file in files),
        modified=datetime.fromtimestamp(newest, UTC),
        has_hf=any("/huggingface/" in f.path and f.path.endswith(".safetensors") for f in files),
    )
