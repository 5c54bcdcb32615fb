"""What a file or a folder of another tool is, and the runs in it."""

import csv
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from monitoring.foreign import databases, mlruns, neptune, rows, tensorboard, wandb
from monitoring.foreign.found import Run, Tell
from monitoring.readers.parse import parse_bytes

W = TypeVar("W")
MOST_FILES = 20_000  # that are looked at in a folder
MOST_RUNS = 50  # that one import makes
DEEPEST = 12  # folders below each other
BEGINNING = 1 << 16
# What readers raise for a damaged file, and for one that went away.
DAMAGED = (ValueError, OSError, OverflowError, KeyError, csv.Error, pa.ArrowException)
KINDS = (
    "verl's metrics.jsonl, a TensorBoard event file, an offline W&B run, a history that W&B "
    "exported (CSV, JSONL, Parquet), a database of Trackio or MLflow, MLflow's folder of files, "
    "or Parquet files of neptune-exporter"
)


@dataclass
class Sources:
    """The files by their tool; those of TensorBoard and MLflow by the folder that is one run."""

    verl: list[Path] = field(default_factory=list)
    histories: list[Path] = field(default_factory=list)
    wandb: list[Path] = field(default_factory=list)
    trackio: list[Path] = field(default_factory=list)
    mlflow: list[Path] = field(default_factory=list)
    neptune: list[Path] = field(default_factory=list)
    events: dict[Path, list[Path]] = field(default_factory=dict)
    mlruns: dict[Path, list[Path]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def files(self) -> list[Path]:
        lists = (self.verl, self.histories, self.wandb, self.trackio, self.mlflow, self.neptune)
        folders = (*self.events.values(), *self.mlruns.values())
        return [path for found in (*lists, *folders) for path in found]

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files)


def look(path: Path, is_closed: Callable[[Path], bool] = lambda folder: False) -> Sources:
    """What there is. Links are not followed, and folders that are closed are passed over. Raises
    ``OSError``, and ``ValueError`` for nothing."""
    found = Sources()
    for file in _below(path, found, is_closed) if path.is_dir() else [path]:
        _sort(file, found, is_alone=file == path)
    for folder in found.mlruns:
        found.mlruns[folder] = [
            file
            for name in (mlruns.METRICS, mlruns.PARAMS)
            for file in _below(folder / name, found, is_closed)
        ]
    if not found.files:
        what = "this folder" if path.is_dir() else "this file"
        raise ValueError(f"There is no run in {what} that can be imported. Known are: {KINDS}.")
    return found


def _below(folder: Path, found: Sources, is_closed: Callable[[Path], bool]) -> Iterator[Path]:
    every = iter(()) if folder.is_symlink() else _walk(folder, is_closed)
    yield from islice(every, MOST_FILES)
    if next(every, None) is not None:
        found.left_out[MORE_FILES] += 1


MORE_FILES = f"all but the first {MOST_FILES:,} files of {{}} folder{{s}}"


def _walk(folder: Path, is_closed: Callable[[Path], bool]) -> Iterator[Path]:
    depth = len(folder.parts)
    for here, folders, names in os.walk(folder, followlinks=False):
        place = Path(here)
        folders[:] = sorted(name for name in folders if not is_closed(place / name))
        if len(place.parts) - depth >= DEEPEST or _is_folder(place / mlruns.METRICS):
            folders.clear()  # a run of MLflow: its own files are listed by themselves
        for name in sorted(names):
            path = place / name
            if _is_file(path):
                yield path


def _is_folder(path: Path) -> bool:
    """And no link to one."""
    return path.is_dir() and not path.is_symlink()


def _is_file(path: Path) -> bool:
    """And neither a link to one, nor a pipe, which would never end."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:  # it went away
        return False


def _sort(path: Path, found: Sources, *, is_alone: bool) -> None:
    """Put a file where it belongs. One that is of no tool is passed over."""
    name = path.name
    try:
        if tensorboard.MARK in name:
            found.events.setdefault(path.parent, []).append(path)
        elif name == mlruns.META and _is_folder(path.parent / mlruns.METRICS):
            found.mlruns[path.parent] = []
        elif (place := _place(path, found, is_alone)) is not None:
            place.append(path)
    except DAMAGED:
        found.left_out[UNREADABLE] += 1


UNREADABLE = "{} file{s} that cannot be read"


def _place(path: Path, found: Sources, is_alone: bool) -> list[Path] | None:
    suffix = path.suffix.lower()
    if suffix == ".wandb":
        return found.wandb
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _of_lines(path, found, is_alone)
    if suffix == ".csv":
        return found.histories if is_alone or _is_history(path) else None
    if suffix == ".parquet":
        return _of_parquet(path, found)
    if suffix in (".db", ".sqlite", ".sqlite3") or is_alone:
        return _of_database(path, found)
    return None


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BEGINNING)


def _of_lines(path: Path, found: Sources, is_alone: bool) -> list[Path] | None:
    """By the first line that can be read: one alone may begin with torn ones."""
    for line in _beginning(path).split(b"\n"):
        try:
            row = parse_bytes(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("data"), dict) and "step" in row:
            return found.verl
        if isinstance(row, dict) and (is_alone or "_step" in row):
            return found.histories
    return None


def _is_history(path: Path) -> bool:
    first = _beginning(path).split(b"\n")[0].decode("utf-8", "replace")
    return any(name in first.replace('"', "").split(",") for name in ("_step", "Step"))


def _of_parquet(path: Path, found: Sources) -> list[Path] | None:
    if neptune.is_export(path):
        return found.neptune
    return found.histories if rows.is_history(path) else None


def _of_database(path: Path, found: Sources) -> list[Path] | None:
    if not _beginning(path).startswith(databases.MAGIC):
        return None
    tables = databases.tables(path)
    if databases.is_mlflow(tables):
        return found.mlflow
    return found.trackio if databases.is_trackio(tables) else None


def read(found: Sources, tell: Tell) -> tuple[list[Run], Counter[str]]:
    """The runs, and what was left out of all of them."""
    runs = list[Run]()
    left_out = Counter(found.left_out)
    for run in _runs(found, tell, left_out):
        if not run.columns:
            left_out += run.left_out or Counter({EMPTY: 1})
        elif len(runs) < MOST_RUNS:
            runs.append(run)
        else:
            left_out[databases.MORE_RUNS] += 1
    return runs, left_out


EMPTY = "{} run{s} without a single figure"


def _runs(found: Sources, tell: Tell, left_out: Counter[str]) -> Iterator[Run]:
    for path in found.verl:
        yield from _one(rows.read_verl, path, rows.VERL, tell, left_out, _named_after(path))
    for path in found.histories:
        reader, name = rows.reader_of(path), _named_after(path)
        yield from _one(reader, path, rows.HISTORY, tell, left_out, name)
    for path in found.wandb:
        yield from _one(wandb.read, path, wandb.TOOL, tell, left_out, _named_after(path))
    yield from _of_folders(found, tell, left_out)
    for path in found.trackio:
        yield from _many(databases.read_trackio, path, tell, left_out)
    for path in found.mlflow:
        yield from _many(databases.read_mlflow, path, tell, left_out)
    if found.neptune:
        yield from _many(neptune.read, found.neptune, tell, left_out)


def _of_folders(found: Sources, tell: Tell, left: Counter[str]) -> Iterator[Run]:
    for folder, paths in found.events.items():
        yield from _one(tensorboard.read, paths, tensorboard.TOOL, tell, left, folder.name)
    for folder, paths in found.mlruns.items():
        reads = partial(mlruns.read, folder)
        yield from _one(reads, paths, databases.MLFLOW, tell, left, folder.name)


def _one(
    reads: Callable[[W, Run, Tell], None], what: W, tool: str, tell: Tell, left: Counter[str],
    name: str,
) -> Iterator[Run]:  # fmt: skip
    run = Run(name, tool)
    try:
        reads(what, run, tell)
    except DAMAGED:  # what was read before stays
        left[UNREADABLE] += 1
    yield run


def _many(
    reads: Callable[[W, int, Tell], list[Run]], what: W, tell: Tell, left: Counter[str]
) -> Iterator[Run]:
    try:
        yield from reads(what, MOST_RUNS, tell)
    except DAMAGED:
        left[UNREADABLE] += 1


def _named_after(path: Path) -> str:
    """The folder says more than the name that every run's file has."""
    return path.parent.name if path.stem in ("metrics", "history") else path.stem
