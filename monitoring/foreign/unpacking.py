"""A folder that was uploaded as one file: zip, or tar as it is or compressed."""

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

MOST_MEMBERS = 20_000
BLOCK = 1 << 20


def is_archive(path: Path) -> bool:
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


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
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise ValueError(f"The archive cannot be read: {error}.") from None
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
