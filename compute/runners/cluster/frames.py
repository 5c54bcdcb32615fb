"""Reading the lines in which a job tells of its run directory; ``trainyard_node.frames`` writes
them."""

import base64
import json
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from compute.runners.facts import file_fact

MARK = "@trainyard\t"
LONGEST = 8 << 20  # bytes of a file in one line


@dataclass(frozen=True)
class Frame:
    """Bytes of a file, from an offset on; ``is_whole`` where they are all that it has."""

    path: str
    offset: int
    data: bytes
    modified: float
    is_whole: bool


def read_frame(line: str) -> Frame | None:
    """None for a line that is no frame. Raises ``ValueError`` for a damaged frame."""
    if not line.startswith(MARK):
        return None
    try:
        _, head, body = line.rstrip("\n").split("\t")
        facts = json.loads(head)
        data = _opened(body)
        path, offset = str(facts["file"]), int(facts["at"])
        size, crc = int(facts["size"]), int(facts["crc"])
        modified = file_fact(path, size, facts["modified"]).modified
        frame = Frame(path, offset, data, modified, bool(facts["whole"]))
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise ValueError(f"a line cannot be read: {error}") from None
    if len(data) != size or zlib.crc32(data) != crc:
        raise ValueError(f"a line on {path[:80]!r} is damaged: its checksum differs")
    if offset < 0 or not is_inside(path):
        raise ValueError(f"a line is on {path[:80]!r}, which is no file of a run")
    return frame


def is_inside(path: str) -> bool:
    """Whether it is a plain relative path. Hidden files are the spool's own."""
    parts = PurePosixPath(path).parts
    plain = bool(parts) and not path.startswith("/") and "\0" not in path
    return plain and not any(part.startswith(".") for part in parts)


def _opened(body: str) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b64decode(body, validate=True), LONGEST)
    if not unpacker.eof:
        raise ValueError("it does not end, or is longer than a line may be")
    return data
