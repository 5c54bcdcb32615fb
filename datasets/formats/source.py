"""Import a file of rows as a stream: completely or not at all."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from datasets.formats import csv_rows, json_rows, parquet_rows
from datasets.formats.codes import CODES
from datasets.formats.encodings import UTF8
from datasets.formats.jsontext import read
from datasets.formats.rows import slice_rows
from datasets.formats.sink import Sink
from datasets.formats.sniff import format_of
from datasets.formats.staging import Progress, staged
from datasets.formats.stream import Limits, Stream
from platform_site.counts import counted

__all__ = ["Limits", "SourceFacts", "SourceRow", "import_file", "read_source"]


@dataclass
class SourceFacts:
    """The result of an import. ``sha256`` and ``bytes_read`` are those of the original file.

    ``fields``: name -> {"types": {type: rows}, "count": rows}; ``examples``: {"line", "code",
    "message", "excerpt"}.
    """

    format: str
    rows: int = 0
    bad: int = 0
    bytes_read: int = 0
    unpacked_bytes: int = 0
    sha256: str = ""
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)
    problem_counts: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SourceFacts":
        return cls(**data)


@dataclass(frozen=True)
class SourceRow:
    """An imported row, and its line or number in the original file."""

    line: int
    data: dict[str, Any]


READERS: Mapping[str, Callable[[Stream, Sink, Limits, Path], None]] = {
    "jsonl": json_rows.read_lines,
    "json": json_rows.read_array,
    "csv": csv_rows.read_csv,
    "parquet": parquet_rows.read_parquet,
}


def import_file(
    path: Path,
    out_dir: Path,
    *,
    name: str | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
    encoding: str = UTF8,
) -> SourceFacts:
    """Import JSON, JSONL, CSV or parquet (gz or not) into ``out_dir``: rows.parquet and
    problems.jsonl.

    ``name`` is the original file's, ``encoding`` that of its text. Raises ValueError with a
    sentence when the file cannot be imported at all, and then leaves ``out_dir`` unchanged.
    """
    limits = limits or Limits()
    kind = format_of(path, name or path.name, limits, encoding)
    encoding = UTF8 if kind == "parquet" else encoding
    with staged(out_dir) as folder, Stream(path, limits, progress, encoding) as stream:
        with Sink(folder, limits.max_rows) as sink:
            READERS[kind](stream, sink, limits, folder)
        _must_have_rows(sink)
        return SourceFacts(
            kind,
            sink.rows,
            sink.problem_counts.total(),
            stream.bytes_read,
            stream.unpacked_bytes,
            stream.sha256,
            sink.fields,
            dict(sink.problem_counts),
            sink.examples,
        )


def read_source(path: Path, start: int, count: int) -> list[SourceRow]:
    """Up to ``count`` rows of a rows.parquet from row ``start`` (0-based)."""
    with pq.ParquetFile(path) as file:
        table = slice_rows(file, start, count)
    lines: list[Any] = table["line"].to_pylist()
    texts: list[Any] = table["json"].to_pylist()
    return [SourceRow(line, read(text)) for line, text in zip(lines, texts, strict=True)]


def _must_have_rows(sink: Sink) -> None:
    if sink.rows:
        return
    if not sink.problem_counts:
        raise ValueError("The file is empty: it has no rows.")
    first = sink.examples[0]
    raise ValueError(
        f"None of {counted(sink.problem_counts.total(), 'row')} can be read. Row {first['line']}: "
        f"{first['message']} {CODES[first['code']].advice}"
    )
