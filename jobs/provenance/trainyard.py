"""Which Trainyard this is: its version and, in a checkout, its commit."""

import shutil
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.conf import settings

GIT_WITHIN = 5.0  # seconds


@lru_cache(maxsize=1)
def itself() -> dict[str, Any]:
    """As of this process's start, whose code it runs. ``commit`` is empty where it is unknown;
    ``changed``: there are changes that are in no commit."""
    commit = _git("rev-parse", "HEAD")
    changed = bool(commit) and bool(_git("status", "--porcelain", "--untracked-files=no"))
    try:
        release = version("trainyard")
    except PackageNotFoundError:
        release = ""
    return {"version": release, "commit": commit, "changed": changed}


def _git(*asked: str) -> str:
    """Only a checkout of its own is asked: a folder above may be of any other project."""
    git = shutil.which("git")
    if git is None or not (settings.BASE_DIR / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            [git, "-C", str(settings.BASE_DIR), *asked],
            capture_output=True,
            text=True,
            timeout=GIT_WITHIN,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip()
