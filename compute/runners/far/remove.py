"""Far side: remove one folder. It loses its name first, so that nobody takes half of it for all."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from compute.runners.far.common import give, place, take


def main() -> None:
    asked = take(sys.stdin.buffer)
    if asked is not None:
        give(remove(asked["folder"]))


def remove(folder: str) -> Any:
    """The bytes that the folder had, None where there was none, or why it is there still."""
    path = place(folder)
    away = path.with_name(f".{path.name}.removed")
    try:
        if path.is_symlink():
            return {"error": f"{folder} is a link: what it points to is not Trainyard's."}
        left = away.is_dir()  # by somebody who was broken off
        freed = size_of(away)
        shutil.rmtree(away, ignore_errors=True)
        if not path.is_dir():
            return {"freed": freed if left else None}
        path.rename(away)
        freed += size_of(away)
        shutil.rmtree(away)
    except OSError as error:
        return {"error": f"{folder} cannot be removed: {error.strerror}: {error.filename}."}
    return {"freed": freed}


def size_of(folder: Path) -> int:
    files = (Path(where, name) for where, _, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_size for file in files)
