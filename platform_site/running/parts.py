"""Takes an upload apart while it arrives: what its files hold is written once, where it is kept.

The body that is left has the number of a file in the file's place. Django's parser reads that body
as any other, and stays the one that judges it: it is also asked which part is a file.
"""

import fcntl
import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from django.conf import settings
from django.http.multipartparser import (  # type: ignore[attr-defined]  # the stubs lack two
    FILE,
    MAX_TOTAL_HEADER_SIZE,
    ChunkIter,
    LazyStream,
    MultiPartParser,
    parse_boundary_stream,
)
from django.utils.http import parse_header_parameters

PREFIX = "body-"
END_OF_HEADER = b"\r\n\r\n"
Write = Callable[[bytes], object]


def boundary_of(content_type: str) -> bytes | None:
    """What stands between the parts of a body, or None where it has no parts."""
    kind, given = parse_header_parameters(content_type)
    boundary = given.get("boundary", "")
    if not kind.startswith("multipart/") or not MultiPartParser.boundary_re.fullmatch(boundary):
        return None
    return boundary.encode("ascii")


def new_part() -> IO[bytes]:
    """A file in the home that an import takes over by its name. Else it goes when it is closed."""
    folder = str(settings.FILE_UPLOAD_TEMP_DIR)
    file = tempfile.NamedTemporaryFile(prefix=PREFIX, suffix=".upload", dir=folder)  # noqa: SIM115
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def remove_left_over() -> None:
    """Remove the files of web servers that were killed; a server that lives holds its own."""
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob(f"{PREFIX}*"):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


class Parts:
    """``files`` are those of the body, in its order; what is no file is written to ``rest``."""

    def __init__(self, boundary: bytes, rest: Write) -> None:
        self.files: list[IO[bytes]] = []
        self._separator, self._rest = b"--" + boundary, rest
        self._buffer, self._write = b"", rest
        self._take = self._head  # Django reads what precedes the first boundary as a part, too

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body. Raises ``OSError`` where they cannot be written."""
        self._buffer += data
        while self._take():
            pass

    def end(self) -> None:
        """The body is there: each file can be read from its beginning."""
        self._give(len(self._buffer))
        for file in self.files:
            file.seek(0)

    def close(self) -> None:
        """Give the files up: each goes, though what it has yet to write does not fit its disk."""
        for file in self.files:
            with suppress(OSError):
                file.close()

    def _give(self, count: int) -> None:
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        self._write(taken)

    def _head(self) -> bool:
        """Take the headers of a part. Whether the bytes after them can be looked at."""
        end, following = map(self._buffer.find, (END_OF_HEADER, self._separator))
        if end < 0 and following < 0 and len(self._buffer) < MAX_TOTAL_HEADER_SIZE:
            return False
        self._take = self._no_file
        if end < 0 or -1 < following < end:
            return True
        head = self._buffer[: end + len(END_OF_HEADER)]
        self._give(len(head))
        if is_head_of_file(head) and len(self.files) < settings.DATA_UPLOAD_MAX_NUMBER_FILES:
            self._rest(b"%d" % len(self.files))
            self.files.append(new_part())
            self._take, self._write = self._in_file, self.files[-1].write
        return True

    def _no_file(self) -> bool:
        """Take up to the next part. Whether that begins here."""
        found = self._buffer.find(self._separator)
        if found < 0:  # its beginning may be there
            self._give(max(0, len(self._buffer) - len(self._separator) + 1))
            return False
        self._give(found + len(self._separator))
        self._take = self._head
        return True

    def _in_file(self) -> bool:
        """Take what a file holds. Whether it ends here."""
        found = self._buffer.find(self._separator)
        if found < 0:  # its beginning may be there, and the line break before it
            self._give(max(0, len(self._buffer) - len(self._separator) - 1))
            return False
        before = self._buffer[max(0, found - 2) : found]
        self._give(found - len(before) + len(before.removesuffix(b"\n").removesuffix(b"\r")))
        self._take, self._write = self._no_file, self._rest
        return True


def is_head_of_file(head: bytes) -> bool:
    """Whether Django's parser takes the part with these headers for a file."""
    if len(head) > MAX_TOTAL_HEADER_SIZE:
        return False
    stream = LazyStream(ChunkIter(io.BytesIO(head)))
    kind, _, _ = parse_boundary_stream(stream, MAX_TOTAL_HEADER_SIZE)
    return bool(kind == FILE)
