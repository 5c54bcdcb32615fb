"""Encode bytes of files as lines of text, for a job of which only the output can be seen.

A line is MARK, the facts as JSON, and the bytes, compressed and in base64. For a file that only
grows, a line carries the part at an offset; for a file that is replaced, the whole file.
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

    `is_whole`: the file has exactly these bytes. `modified`: its change time, epoch seconds.
    """

    path: str
    offset: int
    data: bytes
    modified: float
    is_whole: bool = False


def line_of(frame: Frame) -> bytes:
    """The frame as a line with its newline; ASCII only."""
    facts = {
        "file": frame.path,
        "at": frame.offset,
        "size": len(frame.data),
        "crc": zlib.crc32(frame.data),
        "modified": frame.modified,
        "whole": frame.is_whole,
    }
    head = json.dumps(facts, separators=(",", ":"))
    # Neither part holds a tab: JSON escapes it, and base64 has none.
    body = base64.b64encode(zlib.compress(frame.data, 1)).decode()
    return f"{MARK}\t{head}\t{body}\n".encode()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data. Raises OSError."""
    while data:
        data = data[os.write(descriptor, data) :]
