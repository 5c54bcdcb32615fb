"""The figures of a run as a file: all metrics or some, a part of the steps at a time.

A run may have more points than memory, so that no file is whole in it.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import IO, cast

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.models import Job
from monitoring.models import Series
from monitoring.readers.verl_metrics import write_value
from monitoring.series.tables import Table, table_of
from monitoring.store import points

CELLS = 2_000_000  # of one part
STEP, AT = "step", "written_at"  # the columns beside the metrics; the time is in epoch seconds
Part = tuple[Table, np.ndarray]  # and the time of each step


def parts_of(job: Job, names: Sequence[str], cells: int = CELLS) -> Iterator[Part]:
    """The figures part by part, in the order of their steps."""
    times = points.times(job)
    for low, high in _ranges(job, names, max(1, cells // max(1, len(names)))):
        found = points.window(job, names, low, high)
        table = table_of({name: window.column for name, window in found.items()}, names)
        yield table, _at(times.steps, times.values, table.steps)


def _at(known: np.ndarray, values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The time of each step, NaN where it is not known."""
    place = np.minimum(np.searchsorted(known, steps), max(0, len(known) - 1))
    if not len(known):
        return np.full(len(steps), np.nan)
    return np.where(known[place] == steps, values[place], np.nan)


def _ranges(job: Job, names: Sequence[str], rows: int) -> Iterator[tuple[int, int | None]]:
    """Parts of about so many steps, by the metric that has most of them; the last has no end."""
    longest = Series.objects.filter(job=job, name__in=names).order_by("-count").first()
    if longest is None:
        return
    steps = points.window(job, [longest.name])[longest.name].column.steps
    begins = [0, *steps[rows::rows].tolist()]
    for begin, after in pairwise(begins):
        yield begin, after - 1
    yield begins[-1], None


def as_csv(job: Job, names: Sequence[str]) -> Iterator[bytes]:
    """A row for each step. An empty cell has no point; ``nan`` and ``inf`` are such values."""
    yield _lines([[STEP, AT, *names]])
    for table, at in parts_of(job, names):
        columns = [_cells(table.values[name], table.there[name]) for name in names]
        written = _cells(at, np.isfinite(at))
        yield _lines(zip(table.steps.tolist(), written, *columns, strict=True))


def _cells(values: np.ndarray, there: np.ndarray) -> list[object]:
    return [
        value if is_there else "" for value, is_there in zip(values.tolist(), there, strict=True)
    ]


def _lines(rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def as_json(job: Job, names: Sequence[str]) -> Iterator[bytes]:
    """An object with the points of each metric as ``[step, value]``; a value that JSON has no
    number for is a word. One metric after the other."""
    yield b'{"job":%s,"name":%s,"metrics":{' % (orjson.dumps(job.pk), orjson.dumps(job.name))
    for place, name in enumerate(names):
        window = points.window(job, [name]).get(name)
        column = window.column if window else None
        values = [write_value(value) for value in column.values.tolist()] if column else []
        pairs = [*zip(column.steps.tolist(), values, strict=True)] if column else []
        yield (b"," if place else b"") + orjson.dumps(name) + b":" + orjson.dumps(pairs)
    yield b"}}\n"


class Sink(io.RawIOBase):
    """Takes what a writer of Parquet writes, until somebody drains it."""

    def __init__(self) -> None:
        self.held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        added = bytes(data)  # type: ignore[call-overload]
        self.held += added
        return len(added)

    def drained(self) -> bytes:
        data = bytes(self.held)
        self.held.clear()
        return data


def as_parquet(job: Job, names: Sequence[str]) -> Iterator[bytes]:
    """A row for each step, a group of rows for each part; null has no point."""
    kinds: list[tuple[str, pa.DataType]] = [(STEP, pa.int64())]
    kinds += [(name, pa.float64()) for name in (AT, *names)]
    schema = pa.schema(kinds)
    sink = Sink()
    with pq.ParquetWriter(cast(IO[bytes], sink), schema) as writer:
        for table, at in parts_of(job, names):
            columns = [pa.array(table.steps), pa.array(at, mask=~np.isfinite(at))]
            columns += [pa.array(table.values[n], mask=~table.there[n]) for n in names]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            yield sink.drained()
    yield sink.drained()


Write = Callable[[Job, Sequence[str]], Iterator[bytes]]
FORMATS: Mapping[str, tuple[str, Write]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "json": ("application/json", as_json),
    "parquet": ("application/vnd.apache.parquet", as_parquet),
}
