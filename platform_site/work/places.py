"""How many processes may work at once on what users brought. The others wait for their turn.

A place is the lock on a file in the home: the kernel frees it with its process, however that ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.conf import settings

from platform_site.work.process import HANDED, start_process


@contextmanager
def place() -> Iterator[IO[str] | None]:
    """Hold a place within the block; None where none is free.

    Whoever starts a process takes the place for it, so that no more are started than there are
    places: the process inherits the open file, and the lock with it.
    """
    handed = os.environ.pop(HANDED, "")
    file = os.fdopen(int(handed), "w") if handed else _taken()
    try:
        yield file
    finally:
        if file is not None:
            file.close()


def start_in(file: IO[str], label: str, pk: int) -> None:
    start_process("work", label, str(pk), place=file.fileno())


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
