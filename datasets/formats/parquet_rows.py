"""Read the rows of a parquet file with any column types."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.formats.codes import RowProblem
from datasets.formats.jsontext import dumps
from datasets.formats.sink import Sink
from datasets.formats.stream import MIB, Limits, Stream
from platform_site.counts import counted, limit_text

BATCH = 500


def read_parquet(stream: Stream, sink: Sink, limits: Limits, folder: Path) -> None:
    """Raises ValueError when the file is damaged or does not match its footer."""
    path, unpacked = stream.path, folder / "unpacked.parquet"
    if stream.packed:
        path = unpacked
        with unpacked.open("wb") as file:
            for block in stream.blocks():
                file.write(block)
    else:
        for _ in stream.blocks():
            pass  # this hashes the file and notices a change
    try:
        _read_rows(path, sink, limits)
    except MemoryError:  # one of Arrow's errors, which says nothing about the file
        raise
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        why = " ".join(str(error).split())[:300]
        said = f"The parquet file is damaged after row {sink.rows}: {why}."
        raise ValueError(f"{said} Nothing was imported.") from None
    finally:
        unpacked.unlink(missing_ok=True)


def _read_rows(path: Path, sink: Sink, limits: Limits) -> None:
    number = 0
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=MIB) as file:
        _must_have_names(file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
            for row in _rows(batch):
                number += 1
                _take(sink, number, row, limits)
        if number != file.metadata.num_rows:
            raise ValueError(
                f"The parquet file says that it has {counted(file.metadata.num_rows, 'row')}, but "
                f"{number} can be read. Nothing was imported."
            )


def _must_have_names(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"The file has the column {name} twice; each needs its own name.")


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | RowProblem]:
    table = pa.Table.from_batches([batch])
    table = table.cast(pa.schema([(f.name, _readable(f.type)) for f in table.schema]), safe=False)
    try:
        yield from table.to_pylist(maps_as_pydicts="lossy")
    except (ValueError, OverflowError):  # one row holds text that is not UTF-8, the year 12000 …
        for place in range(len(table)):
            yield _single(table.slice(place, 1))


def _single(table: pa.Table) -> dict[str, Any] | RowProblem:
    try:
        row: dict[str, Any] = table.to_pylist(maps_as_pydicts="lossy")[0]
        return row
    except UnicodeDecodeError:
        return RowProblem("encoding", "It holds text that is not valid UTF-8.")
    except (ValueError, OverflowError) as error:
        return RowProblem("value", f"It holds a value that cannot be read: {error}.")


def _readable(kind: pa.DataType) -> pa.DataType:
    """A type whose values Python can hold: nanoseconds become microseconds."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_duration(kind):
        return pa.duration("us")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_readable(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(kind.value_field.with_type(_readable(kind.value_type)))
    return kind


def _take(sink: Sink, number: int, row: dict[str, Any] | RowProblem, limits: Limits) -> None:
    try:
        if isinstance(row, RowProblem):
            raise row
        text = dumps(row)
        if len(text) > limits.max_line_bytes:
            limit = limit_text(limits.max_line_bytes)
            raise RowProblem("too_long", f"It is longer than the limit of {limit}.")
        sink.add(number, row, text)
    except RowProblem as problem:
        sink.refuse(number, problem, "")
