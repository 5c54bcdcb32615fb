"""Read the rows of a CSV file: the first line names the columns, every value is text."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from datasets.formats.codes import CODES, RowProblem
from datasets.formats.csv_head import layout_of
from datasets.formats.json_rows import too_long
from datasets.formats.jsontext import NOT_UTF8, dumps
from datasets.formats.sink import Sink
from datasets.formats.stream import Limits, Stream, beginning, lines
from platform_site.counts import limit_text


def read_csv(stream: Stream, sink: Sink, limits: Limits, folder: Path) -> None:
    """Read a CSV file. Raises ValueError if the header names no columns or a quote never closes."""
    before = csv.field_size_limit(limits.max_line_bytes)
    try:
        head, blocks = beginning(stream.blocks())
        layout = layout_of(head)
        source = Lines(blocks, sink, limits, layout.line_end)
        if layout.is_hinted:
            next(source)
        source.row_ends()
        rows = csv.reader(source, delimiter=layout.delimiter, strict=True)
        _read_rows(rows, source, sink, _names(_header(rows)))
    finally:
        csv.field_size_limit(before)


class Lines:
    """Lines as text for csv.reader. A line that exceeds the limit is refused and left out."""

    def __init__(self, blocks: Iterator[bytes], sink: Sink, limits: Limits, end: bytes) -> None:
        self.first = 0  # the first line of the row that is being read
        self._number = 0
        self._held = 0
        self._sink, self._limits = sink, limits
        self._lines = self._texts(blocks, end)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._held += len(line)
        self.first = self.first or self._number
        if self._held > self._limits.max_line_bytes:
            raise ValueError(
                f"The row that begins on line {self.first} is longer than the limit of "
                f"{limit_text(self._limits.max_line_bytes)}: is a quote not closed?"
            )
        return line

    def row_ends(self) -> None:
        self.first = self._held = 0

    def _texts(self, blocks: Iterator[bytes], end: bytes) -> Iterator[str]:
        for first, some in lines(blocks, self._limits.max_line_bytes, end):
            for self._number, line in enumerate(some, first):
                if line is None:
                    self._sink.refuse(self._number, too_long(self._limits), "")
                else:
                    yield line.decode("utf-8", "surrogateescape") + end.decode()


def _header(rows: Iterator[list[str]]) -> list[str]:
    """The first row that is not blank."""
    try:
        return next((row for row in rows if row), [])
    except csv.Error as error:
        raise ValueError(f"The header cannot be read: {_why(str(error))}") from None


def _read_rows(rows: Iterator[list[str]], source: Lines, sink: Sink, names: list[str]) -> None:
    source.row_ends()
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            _refuse(sink, source.first, str(error))
        else:
            if row:
                _take(sink, source.first, row, names)
        source.row_ends()


def _refuse(sink: Sink, line: int, said: str) -> None:
    if "unexpected end" in said:
        raise ValueError(
            f"The row that begins on line {line} never ends: a quote is not closed. Nothing was "
            "imported."
        )
    sink.refuse(line, RowProblem("broken_csv", _why(said)), "")


def _why(said: str) -> str:
    if "unexpected end" in said:
        return "A quote is not closed."
    if "new-line character" in said:
        return "A line end of another kind stands outside of quotes."
    return f"A quoted field goes on after its quote ({said}); a quote within it is doubled."


def _take(sink: Sink, line: int, row: list[str], names: list[str]) -> None:
    try:
        if len(row) != len(names):
            raise RowProblem("columns", f"It has {len(row)} fields; the header names {len(names)}.")
        data = dict(zip(names, row, strict=True))
        text = _json(data)
        if b"\\u0000" in text and any("\0" in value for value in row):
            raise RowProblem("nul", "It holds a NUL byte.")
        sink.add(line, data, text)
    except RowProblem as problem:
        sink.refuse(line, problem, ",".join(row))


def _json(data: dict[str, str]) -> bytes:
    try:
        return dumps(data)
    except RowProblem as problem:
        if problem.code == "encoding":  # bytes that are no UTF-8 were kept as surrogates
            raise RowProblem("encoding", NOT_UTF8) from None
        raise


def _names(header: list[str]) -> list[str]:
    """Names of columns in one line each, as the form and the command take them."""
    names = [" ".join(name.split()) or f"column_{place}" for place, name in enumerate(header, 1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if not names:
        raise ValueError("The first line names no columns.")
    if any(0xDC80 <= ord(character) <= 0xDCFF for name in names for character in name):
        raise ValueError(f"The header is not valid UTF-8. {CODES['encoding'].advice}")
    if twice:
        raise ValueError(f"The header names {twice[0]} twice; each column needs a name of its own.")
    return names
