"""Parquet files of neptune-exporter: a row for each value of each attribute of each run."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitoring.foreign.databases import rest_of
from monitoring.foreign.found import NO_STEP, Run, Tell, as_step

TOOL = "Neptune"
COLUMNS = {"run_id", "attribute_path", "attribute_type", "step", "float_value"}
SERIES = "float_series"
NAME = "sys/name"
OWN = ("sys/", "monitoring/")
ROWS = 1 << 16
SCALARS = ("int_value", "float_value", "string_value", "bool_value")


def is_export(path: Path) -> bool:
    """Raises ``ValueError`` for a file that is no Parquet."""
    return set(pq.read_schema(path).names) >= COLUMNS


def read(paths: list[Path], most: int, tell: Tell) -> list[Run]:
    """The runs of an export, which may have several files. Raises ``ValueError``."""
    runs, others = dict[str, Run](), set[str]()
    for path in paths:
        file = pq.ParquetFile(path)
        wanted = [name for name in file.schema_arrow.names if name in _WANTED]
        rows, size = max(1, file.metadata.num_rows), path.stat().st_size
        for batch in file.iter_batches(ROWS, columns=wanted):
            _batch(batch, runs, others, most)
            tell(size * batch.num_rows // rows)
    return [*runs.values(), *rest_of(len(others))]


_WANTED = COLUMNS | {"timestamp", *SCALARS}


def _batch(batch: pa.RecordBatch, runs: dict[str, Run], others: set[str], most: int) -> None:
    is_series = pc.equal(batch.column("attribute_type"), pa.scalar(SERIES))
    for row in batch.filter(pc.invert(is_series)).to_pylist():
        if run := _run(row["run_id"], runs, others, most):
            _setting(run, row)
    found = batch.filter(is_series)
    times = _times(found)
    columns = ("run_id", "attribute_path", "step", "float_value")
    named = zip(*(found.column(name).to_pylist() for name in columns), times, strict=True)
    for run_id, name, step, value, time in named:
        if run := _run(run_id, runs, others, most):
            at = as_step(None if step is None else float(step))
            if at is None or value is None:
                run.left_out[NO_STEP] += 1
                continue
            run.add(name, at, value)
            if time is not None:
                run.times.setdefault(at, time / 1000)


def _times(batch: pa.RecordBatch) -> list[int | None]:
    if "timestamp" not in batch.schema.names:
        return [None] * batch.num_rows
    times = batch.column("timestamp").cast(pa.timestamp("ms", tz="UTC"))
    found: list[int | None] = times.cast(pa.int64()).to_pylist()
    return found


def _run(run_id: Any, runs: dict[str, Run], others: set[str], most: int) -> Run | None:
    name = str(run_id)
    if name not in runs:
        if len(runs) >= most:
            others.add(name)
            return None
        runs[name] = Run(name, TOOL)
    return runs[name]


def _setting(run: Run, row: dict[str, Any]) -> None:
    value = next((row[name] for name in SCALARS if row.get(name) is not None), None)
    path = str(row["attribute_path"])
    if path == NAME and isinstance(value, str) and value:
        run.name = value
    elif value is not None and not path.startswith(OWN):
        run.config[path] = value
