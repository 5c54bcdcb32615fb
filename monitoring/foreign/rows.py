"""Files with a row for each step: verl's ``metrics.jsonl``, and histories as W&B exports them."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from monitoring.foreign.found import BROKEN_LINES, NO_STEP, Run, Tell, as_number, as_step
from monitoring.readers.lines import whole_lines
from monitoring.readers.parse import parse_bytes
from monitoring.readers.verl_metrics import read_metrics

VERL, HISTORY = "verl", "W&B's history"
STEPS = ("_step", "step", "Step", "global_step", "trainer/global_step", "training/global_step")
TIMES = ("_timestamp", "timestamp")
OWN = "_"  # W&B's own keys begin so
READ = 8 << 20  # bytes at a time
LONGEST = 64 << 20  # bytes of a line
ROWS = 1000
BEYOND = ""  # the key of cells beyond the last column
csv.field_size_limit(LONGEST)


def read_verl(path: Path, run: Run, tell: Tell) -> None:
    """Raises ``OSError``."""
    for data in _lines(path, tell):
        found = read_metrics(whole_lines(data, 0)[0], path.stat().st_mtime)
        run.frames += found.frames
        run.times |= dict(zip(found.times.steps.tolist(), found.times.values.tolist(), strict=True))
        if found.broken:
            run.left_out[BROKEN_LINES] += len(found.broken)


def read_jsonl(path: Path, run: Run, tell: Tell) -> None:
    for data in _lines(path, tell):
        for line in whole_lines(data, 0)[0]:
            try:
                row = parse_bytes(line.raw)
            except ValueError:
                row = None
            if isinstance(row, dict):
                _add(run, row)
            else:
                run.left_out[BROKEN_LINES] += 1


def read_csv(path: Path, run: Run, tell: Tell) -> None:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for row in csv.DictReader(_told(file, tell), restkey=BEYOND):
            _add(run, {name: _cell(text) for name, text in row.items() if name != BEYOND})


def _told(file: Iterable[str], tell: Tell) -> Iterator[str]:
    for line in file:
        tell(len(line))
        yield line.replace("\0", "")


def read_parquet(path: Path, run: Run, tell: Tell) -> None:
    """Raises ``ValueError`` for a file that is none."""
    file = pq.ParquetFile(path)
    size = path.stat().st_size
    for batch in file.iter_batches(ROWS):
        for row in batch.to_pylist():
            _add(run, row)
        tell(size * batch.num_rows // max(1, file.metadata.num_rows))


def is_history(path: Path) -> bool:
    """Whether a Parquet file has a column of steps. Raises ``ValueError`` for what is none."""
    return not set(STEPS).isdisjoint(pq.read_schema(path).names)


def reader_of(path: Path) -> Callable[[Path, Run, Tell], None]:
    """What reads a history, by the ending of its name."""
    return {".csv": read_csv, ".parquet": read_parquet}.get(path.suffix.lower(), read_jsonl)


def _lines(path: Path, tell: Tell) -> Iterator[bytes]:
    """Whole lines, a part at a time. The last may lack its newline: it is parsed too."""
    rest = b""
    with path.open("rb") as file:
        while data := file.read(READ):
            tell(len(data))
            whole, newline, rest = (rest + data).rpartition(b"\n")
            if newline:
                yield whole + newline
            elif len(rest) > LONGEST:
                rest = b""
    if rest:
        yield rest + b"\n"


def _add(run: Run, row: Mapping[str, Any]) -> None:
    """The figures of a row. What is empty was not logged then."""
    step = next((row[name] for name in STEPS if row.get(name) is not None), None)
    at = as_step(step)
    if at is None:
        run.left_out[NO_STEP] += 1
        return
    for name in TIMES:
        if row.get(name) is not None and (time := as_number(row[name])) is not None:
            run.times.setdefault(at, time)
    for name, value in row.items():
        if value is not None and not name.startswith(OWN) and name not in STEPS:
            run.add(name, at, value)


def _cell(text: Any) -> Any:
    """A cell of a CSV as what it stands for; None where it is empty."""
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return text
