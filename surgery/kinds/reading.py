"""What kinds of surgery share when they say what is read."""

from collections.abc import Iterable, Mapping
from typing import Any


def named(role: str, paths: Iterable[str]) -> dict[str, str]:
    """The folders by their role and number: ``model 1``, ``model 2``."""
    return {f"{role} {nr}": path for nr, path in enumerate(paths, 1)}


def as_list(value: Any) -> list[Mapping[str, Any]]:
    """The mappings of a list that a job keeps; nothing for what another version kept there."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
