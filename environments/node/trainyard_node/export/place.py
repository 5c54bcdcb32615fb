"""Where the result goes: made beside its place, and moved there only when it is whole."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainyard_node.export.refused import Refused

NO_SPACE = "No space left on device"


@contextmanager
def making(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, which is moved to `target` when the block ends well.

    Raises Refused when `target` exists. However the block ends, nothing else is left; what a killed
    start left is removed by the next one.
    """
    _check_free(target)
    work, held = _work_beside(target)
    try:
        # One level down, since the temporary folder itself is closed to other users.
        made = work / target.name
        made.mkdir()
        yield made
        _put_in_place(made, target)
    except OSError as error:
        raise Refused(_said(error, target)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(held)


@contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """`folder` empty, and for nobody else; it is removed however the block ends. What a killed
    start left in it is removed first.

    Raises Refused where another process works in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = _locked(folder)
    except OSError as error:
        raise Refused(_said(error, folder)) from error
    if held < 0:
        raise Refused(f"Another process works in {folder} just now.")
    try:
        empty(folder)
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def empty(folder: Path) -> None:
    """Remove all that is in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def check_target(target: Path, needed: int) -> None:
    """Raises Refused where `needed` bytes cannot become a new folder `target`."""
    _check_free(target)
    there = next(each for each in target.parents if each.exists())
    if not there.is_dir():
        raise Refused(f"{target} cannot be made: {there} is no folder.")
    check_space(there, needed)


def check_space(folder: Path, needed: int) -> None:
    """Raises Refused where `needed` more bytes do not fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Refused(
            f"The disk has {free / 2**20:,.1f} MiB free, and the model takes "
            f"{needed / 2**20:,.1f} MiB."
        )


def is_no_space(error: BaseException) -> bool:
    """Whether a full disk caused the error, which may be one of safetensors' own."""
    number = getattr(error, "errno", None)
    return number in (errno.ENOSPC, errno.EDQUOT) or NO_SPACE in str(error)


def _check_free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise Refused(f"{target} is there already: nothing is overwritten.")


def _work_beside(target: Path) -> tuple[Path, int]:
    """A new folder, and the open file that keeps it locked as long as it is worked in."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(target)
        while True:
            work = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
            held = _locked(work)
            if held >= 0 and work.is_dir():
                return work, held
    except OSError as error:
        raise Refused(_said(error, target)) from error


def _remove_left(target: Path) -> None:
    """Remove the folders that killed starts left: those that nobody keeps locked."""
    for path in target.parent.iterdir():
        if path.name.startswith(_prefix(target)) and path.is_dir() and (held := _locked(path)) >= 0:
            shutil.rmtree(path, ignore_errors=True)
            os.close(held)


def _locked(folder: Path) -> int:
    """A folder's open file, locked; below 0 where another process has the lock."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)
        return -1
    return opened


def _prefix(target: Path) -> str:
    return f".{target.name}.making-"


def _put_in_place(made: Path, target: Path) -> None:
    _check_free(target)  # rename(2) would take the place of an empty folder
    made.rename(target)


def _said(error: OSError, target: Path) -> str:
    if is_no_space(error):
        return f"The disk of {target.parent} is full."
    return f"{target} cannot be written: {error.strerror or error}."
