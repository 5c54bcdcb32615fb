"""Bytes of files as lines of text: what a job can say where only its output is seen.

A line is MARK, the facts as JSON, and the bytes, compressed and in base64. Of a file that only
grows a line carries the stretch at an offset; of one that is replaced it carries the whole.
"""

import base64
import json
import os
import zlib
from dataclasses import dataclass

MARK = "@trainyard"
LONGEST = 32 * 1024  # bytes of a file in one line


@dataclass(frozen=True)
class Frame:
    """`data` of the file `path`, relative to the attempt directory, from byte `offset` on.

    `is_whole`: the file has exactly these bytes. `modified`: when it was changed, epoch seconds.
    """

    path: str
    offset: int
    data: bytes
    modified: float
    is_whole: bool = False


def line_of(frame: Frame) -> bytes:
    """The line, with its newline; ASCII only."""
    facts = {
        "file": frame.path,
        "at": frame.offset,
        "size": len(frame.data),
        "crc": zlib.crc32(frame.data),
        "modified": frame.modified,
        "whole": frame.is_whole,
    }
    head = json.dumps(facts, separators=(",", ":"))
    # A tab is in neither: JSON escapes it, base64 has none.
    body = base64.b64encode(zlib.compress(frame.data, 1)).decode()
    return f"{MARK}\t{head}\t{body}\n".encode()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    while data:
        data = data[os.write(descriptor, data) :]
