"""A log as blocks of whole lines, read without ever holding all of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from monitoring.readers.masking import lead_for, masked

BLOCK = 4 << 20  # bytes that are read at a time, and the longest line
NEWLINE, RETURN = 10, 13
CODE = re.compile(
    rb"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]?"
)
FEW = 20  # different codes of a block; a log has two or three
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lines:
    """``starts`` are where the lines begin in the file; ``end`` is where the next one does.

    ``array`` has what is left of each on a terminal: without codes, and of a line that was written
    over, what was written last.
    """

    starts: Places
    end: int
    array: pa.StringArray
    is_broken: bool  # the last line goes on in the next block


def blocks(
    file: BinaryIO, start: int, secrets: Sequence[bytes], *, to_end: bool
) -> Iterator[Lines]:
    """The lines from a byte on, at which one begins. ``to_end``: the last one counts also without
    its newline."""
    lead = lead_for(secrets)
    while True:
        before = min(start, lead)
        file.seek(start - before)
        read = file.read(BLOCK + before)
        is_last = len(read) < BLOCK + before
        data = masked(read, secrets)[before:]
        whole = data.rfind(b"\n") + 1
        if (to_end and is_last) or not (whole or is_last):
            whole = len(data)  # the last line, or one that is longer than a block
        if not whole:
            return
        yield _lines(data[:whole], start)
        start += whole


def _lines(data: bytes, start: int) -> Lines:
    ends = _places(data, NEWLINE)
    is_broken = not data.endswith(b"\n")
    first = np.concatenate(([0], ends + 1))
    starts = first if is_broken else first[:-1]
    return Lines(starts + start, start + len(data), _array(_seen(data)), is_broken)


def _places(data: bytes, byte: int) -> Places:
    return np.flatnonzero(np.frombuffer(data, np.uint8) == byte)


def _seen(data: bytes) -> bytes:
    """What a terminal shows in the end; as many lines as before."""
    if not data.isascii():  # RE2 and Arrow want right UTF-8
        data = data.decode("utf-8", "replace").encode()
    data = _without_codes(data)
    return _written_last(data) if b"\r" in data else data


def _without_codes(data: bytes) -> bytes:
    """One code after the other everywhere at once: many times faster than one place after the
    other, as there are few codes and very many places."""
    for _ in range(FEW):
        match = CODE.search(data)
        if match is None:
            return data
        if len(match[0]) < 3:  # it may be the beginning of another
            break
        data = data.replace(match[0], b"")
    return CODE.sub(b"", data)


def _written_last(data: bytes) -> bytes:
    """Without carriage returns before the end of a line, and without what others let be written
    over."""
    returns, newlines = _places(data, RETURN), _places(data, NEWLINE)
    following = np.frombuffer(data + b"\n", np.uint8)[returns + 1]
    ends = returns[following != RETURN]  # of runs of them
    begins = returns[np.append(True, returns[1:] != returns[:-1] + 1)]
    is_idle = following[following != RETURN] == NEWLINE
    over = ends[~is_idle]
    line = np.searchsorted(newlines, over)
    is_last = np.append(line[1:] != line[:-1], True)[: len(line)]
    over, line = over[is_last], line[is_last]
    line_starts = np.concatenate(([0], newlines + 1))[line]
    cuts = np.concatenate((begins[is_idle], line_starts))
    until = np.concatenate((ends[is_idle], over)) + 1
    order = np.argsort(cuts)
    kept_from = [0, *until[order].tolist()]
    kept_to = [*cuts[order].tolist(), len(data)]
    return b"".join([data[a:b] for a, b in zip(kept_from, kept_to, strict=True)])


def _array(data: bytes) -> pa.StringArray:
    """The lines without their newlines, as Arrow holds them: one buffer, and where each begins."""
    ends = _places(data, NEWLINE)
    bare = data.replace(b"\n", b"")
    places = np.concatenate(([0], ends - np.arange(len(ends))))
    if not data.endswith(b"\n"):
        places = np.append(places, len(bare))
    offsets = pa.py_buffer(places.astype(np.int32).tobytes())
    return pa.StringArray.from_buffers(len(places) - 1, offsets, pa.py_buffer(bare))
