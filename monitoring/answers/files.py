"""Which steps of a run have a file of answers: verl writes one for each, by the step's number."""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

NAME = re.compile(r"(0|[1-9][0-9]{0,14})\.jsonl")
MOST_FILES = 100_000  # of one folder; what else lies there may be anything


@dataclass(frozen=True)
class StepFile:
    """The answers of a step, as the attempt that did it last wrote them."""

    step: int
    path: Path
    attempt: int


def step_files(folders: Iterable[tuple[int, Path]]) -> list[StepFile]:
    """The files in the folders of a run's attempts, by step. ``folders`` are pairs of an attempt
    and its folder, oldest first: what a later attempt did again takes the place of the earlier."""
    found: dict[int, StepFile] = {}
    for attempt, folder in folders:
        found |= {step: StepFile(step, path, attempt) for step, path in _files_in(folder)}
    return [found[step] for step in sorted(found)]


def _files_in(folder: Path) -> list[tuple[int, Path]]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, MOST_FILES)]
    except OSError:
        return []
    steps = ((NAME.fullmatch(name), folder / name) for name in names)
    return [(int(match[1]), path) for match, path in steps if match and _is_plain(path)]


def _is_plain(path: Path) -> bool:
    """Not a folder or a pipe, which a run may have put in the place of a file."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def nearest(files: list[StepFile], step: int | None) -> StepFile | None:
    """The file of a step, or of the step that is nearest to it; without one, the newest."""
    if not files:
        return None
    return files[-1] if step is None else min(files, key=lambda file: abs(file.step - step))
