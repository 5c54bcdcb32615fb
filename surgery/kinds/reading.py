"""What kinds of surgery share when they say what is read."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from surgery.kinds.steps import step_in


def named(role: str, paths: Iterable[str]) -> dict[str, str]:
    """The folders by their role and number: ``adapter 1``, ``adapter 2``."""
    return {f"{role} {nr}": path for nr, path in enumerate(paths, 1)}


def models(paths: Iterable[str]) -> dict[str, str]:
    """Models and checkpoints by what each is, and their number."""
    return {f"{named_by(path)} {nr}": path for nr, path in enumerate(paths, 1)}


def named_by(path: str) -> str:
    """The role of a model that is read, by its path."""
    return "model" if step_in(path) is None else "checkpoint"


def as_number(value: Any) -> float | None:
    """A finite number, or None: a run may tell anything."""
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        return None
    return float(value)


def as_list(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list that a job keeps; nothing for what another version kept there."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
