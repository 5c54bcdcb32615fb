"""Far side: make a folder out of files that were taken in one by one (see ``receive``).

``<models>/<digest>`` is there only when all of it is. Its files are links to those in ``files``, so
the same bytes lie on the disk once, however many folders have them.
"""

import errno
import fcntl
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from compute.runners.far.checked import is_checked
from compute.runners.far.common import give, place, take

LOCKED_FOR = 60  # seconds that somebody else may take to make links


def main() -> None:
    asked = take(sys.stdin.buffer)
    if asked is None:
        return
    try:
        give(make(asked) if asked["do"] == "make" else look(asked))
    except FileNotFoundError as error:
        give({"error": f"{error.filename} is gone; ask again"})
    except OSError as error:
        give({"error": error.strerror or str(error)})


def look(asked: Any) -> Any:
    """Whether the folder is there; if not, which of its files are missing, and the free bytes."""
    if is_whole(asked):
        return {"there": True}
    missing = {part["kept"] for part in asked["parts"] if not kept(part)}
    return {
        "there": False,
        "missing": sorted(missing),
        "begun": sum(map(begun, missing)),
        "free": free(place(asked["folder"])),
    }


def is_whole(asked: Any) -> bool:
    folder = place(asked["folder"])
    try:
        return all(is_joined(folder / place(part["name"]), part) for part in asked["parts"])
    except OSError:
        return False


def is_joined(path: Path, part: Any) -> bool:
    file = kept(part)
    return file is not None and path.samefile(file)


def kept(part: Any) -> Any:
    """The checked file with this content, by whatever name, or None."""
    try:
        found = sorted(place(part["kept"]).iterdir())
    except OSError:
        return None
    return next((file for file in found if is_checked(file, part["size"])), None)


def begun(folder: str) -> int:
    try:
        return place(folder).joinpath(".part").stat().st_size
    except OSError:
        return 0


def free(path: Path) -> int:
    """Bytes that this user may still write where the path is to be."""
    while not path.exists():
        path = path.parent
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def make(asked: Any) -> Any:
    folder = place(asked["folder"])
    os.umask(0o077)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("wb") as lock:
        signal.alarm(LOCKED_FOR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        signal.alarm(0)
        if not is_whole(asked):
            build(folder, asked["parts"])
    return {"done": True}


def build(folder: Path, parts: Any) -> None:
    new, old = folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    for part in parts:
        target = new / place(part["name"])
        target.parent.mkdir(parents=True, exist_ok=True)
        join(kept(part), target)
    if folder.exists():  # somebody changed what is in it
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def join(file: Any, target: Path) -> None:
    if file is None:
        raise FileNotFoundError(errno.ENOENT, "", target.name)
    try:
        target.hardlink_to(file)
    except OSError:  # not every disk has hard links
        target.symlink_to(file)
