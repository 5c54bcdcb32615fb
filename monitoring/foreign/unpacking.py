"""A folder that was uploaded as one file: zip, or tar as it is or compressed."""

import errno
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

MOST_MEMBERS = 20_000
BLOCK = 1 << 20
DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError,
    NotImplementedError, OverflowError, struct.error, OSError,
)  # fmt: skip
FULL = (errno.ENOSPC, errno.EDQUOT)  # of this machine, whatever the archive is


def is_archive(path: Path) -> bool:
    """Raises ``ValueError`` for a damaged one."""
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except DAMAGED as error:
        raise _cannot_be_read(error) from None


def _cannot_be_read(error: Exception) -> Exception:
    """gzip, bz2 and zipfile say by ``OSError`` too that an archive is damaged."""
    if not isinstance(error, OSError):
        return ValueError(f"The archive cannot be read: {error}.")
    why = error.strerror or error
    return error if error.errno in FULL else ValueError(f"The archive cannot be read: {why}.")


def unpack(path: Path, folder: Path, largest: int) -> bool:
    """Put the files of an archive into a folder; false when not all of them were taken.

    Links, devices and names that lead outside are passed over. Raises ``OSError``, and
    ``ValueError`` for an archive that cannot be read, or that has more than ``largest`` bytes.
    """
    left = largest
    try:
        for number, (name, file) in enumerate(_members(path)):
            if number >= MOST_MEMBERS:
                return False
            target = folder.joinpath(*_parts(name))
            if target == folder:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= _copy(file, target, left)
    except DAMAGED as error:
        raise _cannot_be_read(error) from None
    return True


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as file:
                        yield info.filename, file
        return
    with tarfile.open(path) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is not None:
                yield member.name, content


def _parts(name: str) -> tuple[str, ...]:
    """The name below the folder; nothing for one that leads out of it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    is_inside = ".." not in parts and not name.startswith("/") and "\0" not in name
    return parts if is_inside else ()


def _copy(file: IO[bytes], target: Path, left: int) -> int:
    size = 0
    with target.open("wb") as out:
        while block := file.read(BLOCK):
            size += len(block)
            if size > left:
                raise ValueError("The archive holds more than may be unpacked.")
            out.write(block)
    return size


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
