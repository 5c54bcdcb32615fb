"""Check that one file of a checkpoint is complete, without loading it."""

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

LOCAL_HEADER = b"PK\x03\x04"
LOCAL_HEADER_SIZE = 30
LONGEST_HEADER = 100 << 20  # bytes: what safetensors itself takes


class Damaged(Exception):
    """The file is damaged; the message says how."""


def check_torch(path: Path, *, deep: bool = False) -> None:
    """Raises Damaged unless this is a complete file of torch.save, which is a zip file.

    `deep` reads all of it and compares the checksums.
    """
    _check_plain(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(path, archive)
            if deep and (entry := archive.testzip()):
                raise Damaged(f"the checksum of its part {entry} is wrong")
    except zipfile.BadZipFile as error:
        raise Damaged(f"it is cut short or no file of torch.save: {error}") from None
    except (OSError, ValueError, NotImplementedError) as error:
        raise Damaged(f"it cannot be read: {_reason(error)}") from None


def weight_count(folder: Path) -> int:
    """All weights in the safetensors files right in a folder, by their headers alone.

    Raises OSError, and ValueError, KeyError or TypeError for a header that is none.
    """
    count = 0
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, LONGEST_HEADER)))
        tensors = (told for name, told in header.items() if name != "__metadata__")
        count += sum(math.prod(told["shape"]) for told in tensors)
    return count


def read_json(path: Path) -> Any:
    """Parse a JSON file. Raises Damaged if it is not JSON."""
    _check_plain(path)
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise Damaged(f"it cannot be read: {_reason(error)}") from None
    except ValueError:
        raise Damaged("it is cut short or no JSON") from None


def _check_plain(path: Path) -> None:
    """A pipe or a device in a file's place would be read for ever."""
    if path.exists() and not path.is_file():
        raise Damaged("it is no plain file")


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if not any(entry.filename.endswith("/data.pkl") for entry in entries):
        raise Damaged("it is no file of torch.save: it has no data.pkl")
    # The offset of the list of entries; the contents of all entries lie before it.
    limit: int = archive.start_dir
    with path.open("rb") as file:
        for entry in entries:
            file.seek(entry.header_offset)
            header = file.read(LOCAL_HEADER_SIZE)
            if entry.header_offset + _size(header, entry) > limit:
                raise Damaged(f"its part {entry.filename} is not all there")


def _size(header: bytes, entry: zipfile.ZipInfo) -> int:
    if len(header) < LOCAL_HEADER_SIZE or not header.startswith(LOCAL_HEADER):
        raise Damaged(f"its part {entry.filename} does not begin where it should")
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    return LOCAL_HEADER_SIZE + name + extra + entry.compress_size


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
