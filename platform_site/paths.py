"""The files that the site may read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from django.conf import settings

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# Why the site does not read a real path for a user: a sentence with {} for the path, or nothing.
WhyClosed: TypeAlias = "Callable[[Path, User | None], str]"
_whys: list[WhyClosed] = []
LONGEST_PART, LONGEST = 255, 4095  # bytes that a disk takes for a name, and a system for a path


def allowed(path: str) -> Path | None:
    """The real path behind ``path`` if it lies in a folder that the settings allow, else None.

    Symbolic links and ``..`` are resolved first, so they cannot lead outside.
    """
    try:
        if not fits(path):
            return None
        real = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return None
    inside = any(real.is_relative_to(root) for root in settings.TRAINYARD_PATHS)
    return real if inside else None


def fits(path: str) -> bool:
    """Whether any disk could have it."""
    try:
        data = os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return len(data) <= LONGEST and all(len(part) <= LONGEST_PART for part in data.split(b"/"))


def inside(path: str) -> Path:
    """The real path. Raises ``ValueError`` with a sentence if it is outside the allowed folders."""
    if not Path(path).is_absolute():
        # Runs start in another folder, and no shell expands "~" there.
        raise ValueError(f"{path} is not a whole path: it begins with /.")
    if not fits(path):
        raise ValueError(f"{path[:80]}… is no path that a disk takes: it is too long.")
    real = allowed(path)
    if real is None:
        roots = ", ".join(str(root) for root in settings.TRAINYARD_PATHS)
        raise ValueError(f"{path} lies outside the allowed folders ({roots}): see TRAINYARD_PATHS.")
    return real


def register(why: WhyClosed) -> None:
    """Have an app say which paths are somebody else's: this one knows of nobody's files."""
    _whys.append(why)


def why_closed(real: Path, user: "User | None") -> str:
    return next((said for why in _whys if (said := why(real, user))), "")


def open_to(user: "User | None", path: str) -> Path:
    """As ``inside``, for what is read for the user. Raises ``ValueError`` too for what is somebody
    else's."""
    real = inside(path)
    if said := why_closed(real, user):
        raise ValueError(said.format(path))
    return real


def listed_for(user: "User | None", path: str) -> Path:
    """As ``open_to``, for a folder of which only the names are read: one above the folders of
    others is open, those are not."""
    real = inside(path)
    if why_closed(real / "any", user):
        raise ValueError(why_closed(real, user).format(path))
    return real
