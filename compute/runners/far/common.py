"""Far side: frames of JSON over the standard streams, and names that are bytes."""

import errno
import json
import os
import sys
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO

HEAD = 4  # bytes of a frame's length


def raw(name: str) -> bytes:
    """A name as it is on the disk, whatever the far locale says."""
    return name.encode("utf-8", "surrogateescape")


def place(name: str) -> Path:
    """The path of a name."""
    return Path(os.fsdecode(raw(name)))


def text(path: Path) -> str:
    """The reverse of ``place``; it goes through JSON unharmed."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def open_file(path: Path) -> BinaryIO:
    """Open a file to read. What a run may have put in its place (a pipe, a device) is refused, and
    never waited for. Raises ``OSError``."""
    return open(path, "rb", opener=_regular)


def _regular(path: str, flags: int) -> int:
    file = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(file).st_mode
    if S_ISREG(mode) or S_ISDIR(mode):  # Python itself refuses a folder
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "It is no plain file", path)


def frame(header: Any) -> bytes:
    """A header as it goes over the line."""
    data = json.dumps(header).encode()
    return len(data).to_bytes(HEAD, "big") + data


def unframe(data: bytes) -> Any:
    """The header at the start of what was framed."""
    return json.loads(data[HEAD : HEAD + int.from_bytes(data[:HEAD], "big")])


def take(stream: BinaryIO) -> Any:
    """The next header, or None when the other side is gone, in the middle of one or before."""
    head = stream.read(HEAD)
    if len(head) < HEAD:
        return None
    data = stream.read(int.from_bytes(head, "big"))
    return json.loads(data) if len(data) == int.from_bytes(head, "big") else None


def give(header: Any, payload: bytes = b"") -> None:
    """Send a header and the bytes after it."""
    sys.stdout.buffer.write(frame(header) + payload)
    sys.stdout.buffer.flush()
