"""The files that the site may read."""

from pathlib import Path

from django.conf import settings


def allowed(path: str) -> Path | None:
    """The real path behind ``path`` if it lies in a folder that the settings allow, else None.

    Symbolic links and ``..`` are resolved first, so they cannot lead outside.
    """
    try:
        real = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return None
    inside = any(real.is_relative_to(root) for root in settings.TRAINYARD_PATHS)
    return real if inside else None


def inside(path: str) -> Path:
    """The real path. Raises ``ValueError`` with a sentence if it is outside the allowed folders."""
    if not Path(path).is_absolute():
        # Runs start in another folder, and no shell expands "~" there.
        raise ValueError(f"{path} is not a whole path: it begins with /.")
    real = allowed(path)
    if real is None:
        roots = ", ".join(str(root) for root in settings.TRAINYARD_PATHS)
        raise ValueError(f"{path} lies outside the allowed folders ({roots}): see TRAINYARD_PATHS.")
    return real
