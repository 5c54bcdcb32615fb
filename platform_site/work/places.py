"""How many processes may work at once on what users brought. The others wait for their turn.

A place is the lock on a file in the home: the kernel frees it with its process, however that ends.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.conf import settings


@contextmanager
def place() -> Iterator[bool]:
    """Hold a place within the block; false where none is free."""
    file = _taken()
    try:
        yield file is not None
    finally:
        if file is not None:
            file.close()


def is_free() -> bool:
    with place() as is_held:
        return is_held


def _taken() -> IO[str] | None:
    folder = Path(settings.TRAINYARD_HOME) / "places"
    folder.mkdir(exist_ok=True)
    for number in range(settings.TRAINYARD_DATA_AT_ONCE):
        file = (folder / str(number)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return file
    return None
