"""Read rows from JSON lines or from a JSON array."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path

from datasets.formats.codes import CODES, RowProblem
from datasets.formats.jsontext import dumps, has_big, kind, loads_object, refuse_constant, unique
from datasets.formats.sink import Sink
from datasets.formats.stream import MIB, Limits, Stream, beginning, lines
from platform_site.counts import limit_text

BLANK = " \t\r\n"


def read_lines(stream: Stream, sink: Sink, limits: Limits, folder: Path) -> None:
    """Read one object a line; a bad line is counted and skipped."""
    head, blocks = beginning(stream.blocks())
    end = b"\r" if b"\r" in head and b"\n" not in head else b"\n"
    for first, some in lines(blocks, limits.max_line_bytes, end):
        big = has_big(b" ".join(line for line in some if line and len(line) < MIB))
        for number, line in enumerate(some, first):
            if line is None:
                sink.refuse(number, too_long(limits), "")
            elif line and not line.isspace():
                _take(sink, number, line, (big or len(line) >= MIB) and has_big(line))


def _take(sink: Sink, number: int, line: bytes, big: bool) -> None:
    try:
        sink.add(number, *loads_object(line, big))
    except RowProblem as problem:
        sink.refuse(number, problem, line)


def too_long(limits: Limits) -> RowProblem:
    limit = limit_text(limits.max_line_bytes)
    return RowProblem("too_long", f"It is longer than the limit of {limit}.")


def read_array(stream: Stream, sink: Sink, limits: Limits, folder: Path) -> None:
    """Read the objects of one array, or one object. Raises ValueError where the array is broken."""
    text = Text(stream, limits.max_line_bytes)
    if text.next_character() != "[":
        _add(sink, 1, text)
        return text.must_end()
    text.skip(1)
    number = 0
    while text.next_character() != "]":
        number += 1
        _add(sink, number, text)
        separator = text.next_character()
        if separator == ",":
            text.skip(1)
        elif separator != "]":
            raise text.broken(f"expected , or ] after item {number}")
    text.skip(1)
    return text.must_end()


def _add(sink: Sink, number: int, text: "Text") -> None:
    value, raw, problem = text.value()
    try:
        if problem:
            raise problem
        if not isinstance(value, dict):
            raise RowProblem("not_object", f"It is {kind(value)}; a row is an object.")
        sink.add(number, value, dumps(value))
    except RowProblem as found:
        sink.refuse(number, found, raw)


class Text:
    """JSON text that is parsed value by value; it holds at most one value and one block."""

    def __init__(self, stream: Stream, limit: int) -> None:
        self._blocks: Iterator[bytes] = stream.blocks()
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._limit = limit
        self._buffer, self._at, self._lines = "", 0, 1
        self._ended = False

    def next_character(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in BLANK:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def skip(self, count: int) -> None:
        self._at += count

    def value(self) -> tuple[object, str, RowProblem | None]:
        """The next value, the beginning of its text, and the problem that prevents its use."""
        self.next_character()
        wanted = 0
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
                if end < len(self._buffer) or self._ended:
                    return self._taken(value, end, None)
            except json.JSONDecodeError as error:
                if self._ended or self._is_broken(error):
                    raise self.broken(error.msg, error.pos) from None
            except RowProblem as problem:
                return self._taken(None, self._end_of_value(), problem)
            except RecursionError:
                raise self.broken("lists and objects go too deep") from None
            wanted = max(2 * wanted, 2**20)
            self._fill(wanted)

    def must_end(self) -> None:
        if self.next_character():
            raise self.broken("there is more after the end of the JSON")

    def broken(self, said: str, at: int | None = None) -> ValueError:
        line = self._lines + self._buffer.count("\n", 0, self._at if at is None else at)
        return ValueError(
            f"The JSON is broken at line {line}: {said}. Nothing was imported; mend the file, or "
            "write one object a line (JSONL), where a broken row is left out."
        )

    def _taken(
        self, value: object, end: int, problem: RowProblem | None
    ) -> tuple[object, str, RowProblem | None]:
        raw = self._buffer[self._at : min(end, self._at + 400)]
        self._at = end
        return value, raw, problem

    def _is_broken(self, error: json.JSONDecodeError) -> bool:
        near_end = len(self._buffer) - error.pos < 64
        return not near_end and not error.msg.startswith("Unterminated string")

    def _end_of_value(self) -> int:
        """The end of a refused value, found by parsing it again without the refusal."""
        while True:
            try:
                return json.JSONDecoder().raw_decode(self._buffer, self._at)[1]
            except json.JSONDecodeError as error:
                if self._ended:
                    raise self.broken(error.msg, error.pos) from None
                self._fill(2 * (len(self._buffer) - self._at))

    def _fill(self, wanted: int) -> None:
        if len(self._buffer) - self._at > self._limit:
            limit = limit_text(self._limit)
            raise self.broken(f"a value is longer than the limit of {limit}, or does not end")
        while len(self._buffer) - self._at < wanted and self._more():
            pass

    def _more(self) -> bool:
        if self._ended:
            return False
        block = next(self._blocks, b"")
        self._ended = not block
        try:
            text = self._utf8.decode(block, final=self._ended)
        except UnicodeDecodeError:
            raise self.broken(f"it is not valid UTF-8. {CODES['encoding'].advice}") from None
        self._lines += self._buffer.count("\n", 0, self._at)
        self._buffer, self._at = self._buffer[self._at :] + text, 0
        return True


_DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_constant=refuse_constant)
