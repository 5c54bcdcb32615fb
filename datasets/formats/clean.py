"""Make a version without the rows that have chosen faults."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets.formats.check import Lengths, Look
from datasets.formats.codes import CODES, RowProblem
from datasets.formats.compile import Compiled, Removed, compiled
from datasets.formats.jsontext import dumps
from datasets.formats.staging import Progress, staged
from datasets.formats.tables import ROW_GROUP, writer


def clean_version(
    train: Path,
    val: Path | None,
    out_dir: Path,
    target: str,
    drop: Collection[str],
    *,
    lengths: Lengths | None = None,
    max_length: int | None = None,
    known_sources: Collection[str] | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """Leave out rows with the faults in ``drop``, and write them to removed.parquet.

    One row of each group of duplicates stays; a row in both files is removed from validation.
    Raises ValueError, and then leaves ``out_dir`` unchanged.
    """
    if unknown := sorted(set(drop) - set(CODES)):
        raise ValueError(f"There is no fault {', '.join(unknown)}.")
    if val is None:
        raise ValueError("The version has no validation file.")
    look = Look(train, val, target, lengths, max_length, known_sources)
    for _ in look.rows(progress):
        pass
    reasons = _reasons(look, drop)
    with staged(out_dir) as folder:
        with Removed(folder) as removed:
            rows = look.counts["train"]
            kept_train = _filter(train, folder / "train.parquet", reasons[:rows], removed)
            kept_val = _filter(val, folder / "val.parquet", reasons[rows:], removed)
        _must_remain(kept_train, kept_val)
        return compiled(folder, kept_train, kept_val, removed)


def _reasons(look: Look, drop: Collection[str]) -> "np.ndarray":
    """For each row, 0 if it stays, else 1 + the index in CODES of the reason for its removal."""
    reasons = np.zeros(sum(look.counts.values()), np.uint8)
    found = look.found()
    for place, code in enumerate(CODES, 1):
        if code in drop and code in found:
            free = found[code][reasons[found[code]] == 0]
            reasons[free] = place
    return reasons


def _filter(path: Path, out: Path, reasons: "np.ndarray", removed: Removed) -> int:
    """Copy the rows without a reason, add the others to ``removed``; return the number copied."""
    start, codes = 0, list(CODES)
    with pq.ParquetFile(path, pre_buffer=False) as file, writer(out, file.schema_arrow) as to:
        for batch in file.iter_batches(batch_size=ROW_GROUP, use_threads=False):
            part = reasons[start : start + len(batch)]
            start += len(batch)
            if len(kept := batch.filter(pa.array(part == 0))):
                to.write_table(pa.Table.from_batches([kept]))
            gone = batch.filter(pa.array(part != 0)).to_pylist()
            for row, place in zip(gone, part[part != 0].tolist(), strict=True):
                code = codes[place - 1]
                line = (row.get("extra_info") or {}).get("line") or 0
                removed.add(line, RowProblem(code, f"{CODES[code].label}."), dumps(row).decode())
    return int((reasons == 0).sum())


def _must_remain(rows_train: int, rows_val: int) -> None:
    if rows_train and rows_val:
        return
    side = "validation" if rows_train else "training"
    raise ValueError(f"Nothing would be left for {side}. Choose less to leave out.")
