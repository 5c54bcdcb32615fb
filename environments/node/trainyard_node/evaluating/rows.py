"""The rows of a data set's files, one after the other: parquet or JSON lines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from trainyard_node.export.refused import Refused

AT_ONCE = 512
BUFFER = 1 << 20  # bytes of each column
Row = Mapping[str, Any]


def rows_of(files: Sequence[str], limit: int | None) -> Iterator[dict[str, Any]]:
    """The first `limit` rows, or all. Raises Refused for a file that is none of rows."""
    return islice((row for path in files for row in _rows(Path(path))), limit)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix in (".jsonl", ".json", ".ndjson"):
        return _lines(path)
    raise Refused(f"{path} is no file of rows: its name ends in neither .parquet nor .jsonl.")


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        # Otherwise a whole group of rows is read for its first ones.
        with parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            for batch in file.iter_batches(AT_ONCE):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise Refused(f"{path} cannot be read: {error}") from error


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _row(line, path, number)
    except (OSError, UnicodeError) as error:
        raise Refused(f"{path} cannot be read: {error}") from error


def _row(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"Line {number} of {path} is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise Refused(f"Line {number} of {path} is no JSON object.")
    return row
