"""Read a file as blocks of bytes: hashed, unpacked within limits, in bounded memory."""

import hashlib
import os
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from datasets.formats.encodings import UTF8, as_utf8
from datasets.formats.staging import Progress
from platform_site.counts import limit_text

MIB = 2**20
BLOCK = MIB
SLACK = 64 * MIB  # the ratio of a small file says little
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Limits:
    """Limits of an import, in bytes, rows and unpacked bytes per packed byte."""

    max_line_bytes: int = 64 * MIB
    max_rows: int = 200_000_000
    max_unpacked_bytes: int = 200 * 1024 * MIB
    max_ratio: int = 200


class Stream:
    """A file that is read once from beginning to end.

    ``bytes_read`` counts the bytes of the file, ``unpacked_bytes`` the bytes after unpacking.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits,
        progress: Progress | None = None,
        encoding: str = UTF8,
    ) -> None:
        self.path = path
        self.bytes_read = 0
        self.unpacked_bytes = 0
        self._limits = limits
        self._progress = progress
        self._encoding = encoding
        self._hash = hashlib.sha256()
        self._file = _open(path)
        self._before = os.fstat(self._file.fileno())
        self.size = self._before.st_size
        self.packed = self._file.read(2) == GZIP
        self._file.seek(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def blocks(self) -> Generator[bytes, None, None]:
        """Blocks of about 1 MiB, text in UTF-8. Raises ValueError when the file is damaged or
        exceeds a limit.
        """
        yield from as_utf8(self._whole(), self._encoding)

    def _whole(self) -> Iterator[bytes]:
        for block in self._unpacked() if self.packed else self._raw():
            self.unpacked_bytes += len(block)
            self._within_limits()
            yield block
        self._must_be_unchanged()

    def _raw(self) -> Iterator[bytes]:
        while block := self._file.read(BLOCK):
            self.bytes_read += len(block)
            self._hash.update(block)
            if self._progress:
                self._progress(self.bytes_read, self.size)
            yield block

    def _unpacked(self) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(wbits=31)
        for block in self._raw():
            packed = block
            while packed:
                if unpacker.eof:  # another member begins; zeros may pad the end
                    packed = packed.lstrip(b"\0")
                    unpacker = zlib.decompressobj(wbits=31) if packed else unpacker
                    if not packed:
                        break
                try:
                    yield unpacker.decompress(packed, BLOCK)
                except zlib.error as error:
                    raise ValueError(f"The gzip data are damaged: {error}.") from None
                packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        if not unpacker.eof:
            yield from _rest(unpacker)

    def _within_limits(self) -> None:
        limits = self._limits
        if self.unpacked_bytes > limits.max_unpacked_bytes:
            limit = limit_text(limits.max_unpacked_bytes)
            raise ValueError(f"It unpacks to more than the limit of {limit}.")
        if self.packed and self.unpacked_bytes > max(SLACK, limits.max_ratio * self.bytes_read):
            raise ValueError(
                f"It unpacks to more than {limits.max_ratio} times its size, which is the limit: "
                "a file made to fill the disk? If it is honest, unpack it first."
            )

    def _must_be_unchanged(self) -> None:
        after = os.fstat(self._file.fileno())
        if self.bytes_read != self.size or after.st_mtime_ns != self._before.st_mtime_ns:
            raise ValueError(
                f"The file changed while it was read ({self.size} bytes before, {after.st_size} "
                "after). Import it again once nobody writes to it."
            )


def beginning(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first MiB or so to look at, and all blocks to read."""
    held: list[bytes] = []
    size = 0
    while size < BLOCK and (block := next(blocks, None)) is not None:
        held.append(block)
        size += len(block)
    return b"".join(held), chain(held, blocks)


def lines(
    blocks: Iterator[bytes], limit: int, end: bytes = b"\n"
) -> Iterator[tuple[int, list[bytes | None]]]:
    """Lists of lines without their ends, each with the number of its first line (from 1).

    None replaces a line of more than ``limit`` bytes, of which at most that many were held.
    """
    pieces: list[bytes] = []
    number, held, first = 1, 0, True
    for whole in blocks:
        block = whole.removeprefix(b"\xef\xbb\xbf") if first and whole else whole
        first = first and not whole
        start, *rest = block.split(end)
        held += len(start)
        pieces = [*pieces, start] if held <= limit else []
        if not rest:
            continue
        *middle, last = rest
        found: list[bytes | None] = [b"".join(pieces) if held <= limit else None, *middle]
        yield number, [line if line is None or len(line) <= limit else None for line in found]
        number += len(found)
        pieces, held = [last], len(last)
    if held:
        yield number, [b"".join(pieces) if held <= limit else None]


def _rest(unpacker: "zlib._Decompress") -> Iterator[bytes]:
    """The bytes that the unpacker still holds after the last block."""
    while block := unpacker.decompress(unpacker.unconsumed_tail, BLOCK):
        yield block
    if not unpacker.eof:
        raise ValueError(
            "The gzip data end in the middle: the upload or the copy was cut off. Nothing was "
            "imported; send the whole file again."
        )


def _open(path: Path):  # type: ignore[no-untyped-def]
    if path.is_dir():
        raise ValueError(f"{path.name} is a folder; a file is needed.")
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise ValueError(f"There is no file {path.name}.") from None
