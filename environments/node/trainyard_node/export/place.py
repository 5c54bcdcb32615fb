"""Where the result goes: made beside its place, and moved there only when it is whole."""

import errno
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

    Raises Refused when `target` exists. However the block ends, nothing else is left.
    """
    _check_free(target)
    work = _work_beside(target)
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


def _work_beside(target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise Refused(_said(error, target)) from error


def _put_in_place(made: Path, target: Path) -> None:
    _check_free(target)  # rename(2) would take the place of an empty folder
    made.rename(target)


def _said(error: OSError, target: Path) -> str:
    if is_no_space(error):
        return f"The disk of {target.parent} is full."
    return f"{target} cannot be written: {error.strerror or error}."
