"""Writes a file that arrives in pieces into a ``.part`` beside it, until the file is whole."""

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from compute.runners.base import RunnerError

CHUNK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)


class Part:
    """The part of ``target`` that is here already, and its SHA-256. Use it in a ``with`` block."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open("r+b" if self.path.exists() else "w+b")
            self.have, self.digest = hash_start(self.file, self.path.stat().st_size)
        except OSError as error:
            raise _cannot(target, error) from error

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # add() has raised for what did not fit
            self.file.close()

    def begin_at(self, offset: int) -> None:
        """Go on at ``offset`` if that is the end of what is here, else from the start."""
        if offset == self.have:
            return
        self.have, self.digest = 0, hashlib.sha256()
        self.file.seek(0)
        self.file.truncate()

    def add(self, data: bytes) -> None:
        """Raises ``RunnerError`` when the disk is full."""
        try:
            self.file.write(data)
        except OSError as error:
            raise _cannot(self.target, error) from error
        self.digest.update(data)
        self.have += len(data)

    def finish(self, digest: str) -> None:
        """Rename it to the target. Raises ``RunnerError`` when its SHA-256 is not ``digest``."""
        if self.digest.hexdigest() != digest:
            self.path.unlink()
            raise RunnerError(
                f"{self.target.name} came with another SHA-256 than it has there; it was thrown "
                "away. Ask for it again."
            )
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.path.replace(self.target)
        except OSError as error:
            raise _cannot(self.target, error) from error


def hash_start(file: BinaryIO, count: int) -> tuple[int, "hashlib._Hash"]:
    """How many of the first ``count`` bytes there are, and their SHA-256; leaves the file there."""
    digest, left = hashlib.sha256(), count
    file.seek(0)
    while left and (data := file.read(min(CHUNK, left))):
        digest.update(data)
        left -= len(data)
    return count - left, digest


def _cannot(target: Path, error: OSError) -> RunnerError:
    if error.errno in FULL:
        return RunnerError(
            f"The disk of this machine is full: {target.name} does not fit. What came is kept; "
            "make room and ask again."
        )
    return RunnerError(f"{target} cannot be written: {error.strerror}.")
