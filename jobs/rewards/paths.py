"""The files that may be reward functions."""

from collections.abc import Callable
from pathlib import Path

from jobs.places import places
from platform_site.paths import inside


def reward_path(text: str, read: Callable[[str], Path] = inside) -> Path:
    """The real path of a reward function's file: one that ``read`` allows, or one of Trainyard's
    own.

    Raises ``ValueError`` with a sentence, and ``OSError`` where the path cannot be resolved.
    """
    real = _own(text) or read(text)
    if not real.is_file():
        raise ValueError(f"There is no file {text}.")
    return real


def _own(text: str) -> Path | None:
    if not Path(text).is_absolute():
        return None
    try:
        real = Path(text).resolve()
    except (OSError, RuntimeError, ValueError):
        return None
    return real if real.is_relative_to(places()["rewards"]) else None
