"""Reads a stretch of a file of this machine."""

from pathlib import Path

from compute.runners.base import RunnerError
from compute.runners.far.common import open_file


def read_stretch(path: Path, offset: int, limit: int, name: str) -> bytes:
    """Up to ``limit`` bytes; none where there is no such file. Raises ``RunnerError``, which calls
    the file by ``name``."""
    try:
        with open_file(path) as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise RunnerError(f"{name} cannot be read: {error.strerror}") from error
