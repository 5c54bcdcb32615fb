"""Write a folder completely or not at all."""

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Progress = Callable[[int, int], None]


@contextmanager
def staged(out_dir: Path) -> Iterator[Path]:
    """A temporary sibling of ``out_dir`` that is renamed to it at the end.

    An exception inside removes it and leaves ``out_dir`` unchanged. A full disk becomes a
    ValueError with a sentence. Remains of an earlier, killed attempt are removed.
    """
    _forget_attempts(out_dir)
    folder = out_dir.with_name(f".{out_dir.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        folder.mkdir(parents=True)
        yield folder
        _put(folder, out_dir)
    except OSError as error:
        raise ValueError(_why(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forget_attempts(out_dir: Path) -> None:
    for left in out_dir.parent.glob(f".{out_dir.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)


def _put(folder: Path, out_dir: Path) -> None:
    for path in folder.iterdir():
        _sync(path)
    if not out_dir.exists():
        folder.rename(out_dir)
        return
    old = out_dir.with_name(f".{out_dir.name}.{uuid.uuid4().hex[:8]}.tmp")
    out_dir.rename(old)
    folder.rename(out_dir)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    if path.is_dir():
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _why(error: OSError) -> str:
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if error.errno in full or "No space left" in str(error):
        return f"The disk is full: {error}. Nothing was kept; free some space and try again."
    return f"Reading or writing failed: {error}. Nothing was kept."
