"""Read rows of a parquet file by number, page, search and filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.formats.jsontext import read
from datasets.formats.queries import OPS, Filter, Query

__all__ = ["OPS", "Filter", "Page", "page", "row", "slice_rows"]

MOST = 1_000


@dataclass(frozen=True)
class Page:
    """Rows with their number in the file. ``total`` is None when counting would need all rows;
    ``next_start`` is the start of the next page, None at the end."""

    rows: list[tuple[int, dict[str, Any]]]
    total: int | None
    next_start: int | None


def page(
    path: Path, start: int, count: int, search: str = "", filters: Sequence[Filter] = ()
) -> Page:
    """At most ``count`` matching rows (1,000 at the most) from row ``start`` of the file on.

    ``search`` is found in any text field and ignores case. A filter is (dotted field, one of
    ``OPS``, value); one matching element of a list suffices. A row of an import is the original
    object with its ``line``. Raises ValueError with a sentence.
    """
    start, count = max(0, start), max(1, min(count, MOST))
    if not search and not filters:
        return _plain(path, start, count)
    with Query(path) as query:
        numbers = query.matching(start, count + 1, search, filters)
    found = numbers[:count]
    with _open(path) as file:
        rows = [(number, _at(file, number)) for number in found]
    return Page(rows, None, numbers[count] if len(numbers) > count else None)


def row(path: Path, index: int) -> dict[str, Any]:
    """One row, by its number from 0. Raises IndexError when there is no such row."""
    with _open(path) as file:
        return _at(file, index)


def slice_rows(file: pq.ParquetFile, start: int, count: int) -> pa.Table:
    """Rows of a parquet file; only the row groups that hold them are read."""
    groups: list[int] = []
    first, before = 0, 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if before + rows > start and before < start + count:
            first = first if groups else before
            groups.append(group)
        before += rows
    return file.read_row_groups(groups, use_threads=False).slice(max(0, start - first), count)


def _plain(path: Path, start: int, count: int) -> Page:
    with _open(path) as file:
        total = file.metadata.num_rows
        rows = _read(slice_rows(file, start, count))
    end = start + len(rows)
    return Page(list(enumerate(rows, start)), total, end if rows and end < total else None)


def _at(file: pq.ParquetFile, index: int) -> dict[str, Any]:
    if not 0 <= index < file.metadata.num_rows:
        raise IndexError(f"There is no row {index}: the file has {file.metadata.num_rows}.")
    return _read(slice_rows(file, index, 1))[0]


def _read(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    if table.column_names == ["line", "json"]:
        return [{"line": row["line"], **read(row["json"])} for row in rows]
    return rows


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} cannot be read: {str(error)[:200]}") from None
