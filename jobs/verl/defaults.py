"""What verl's default of a key stands for in a run: many defaults follow another key's value.

They are OmegaConf's interpolations. Only those that name keys of the configuration are followed: a
run's own text is never evaluated, and no environment variable is read.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

INTERPOLATION = re.compile(r"\$\{([^${}]*)\}")
SELECT = "oc.select:"
MISSING = "???"  # what the user must give
MOST = 20  # interpolations in one default
UNKNOWN = object()


def stands_for(default: Any, key: str, config: Mapping[str, Any]) -> Any:
    """The value of the default of ``key`` within ``config``; ``UNKNOWN`` where nobody can say."""
    if not isinstance(default, str):
        return default
    text, inner = default, None
    for _ in range(MOST):
        found = INTERPOLATION.search(text)
        if not found:
            return UNKNOWN if "${" in text else text
        inner = _followed(found[1], key, config)
        if inner is UNKNOWN or found[0] == text:
            return inner
        text = text[: found.start()] + _as_text(inner) + text[found.end() :]
    return UNKNOWN


def _followed(said: str, key: str, config: Mapping[str, Any]) -> Any:
    if not said.startswith(SELECT):
        return UNKNOWN if ":" in said else found_at(config, absolute(said, key))
    path, comma, otherwise = said.removeprefix(SELECT).partition(",")
    found = found_at(config, absolute(path.strip(), key))
    if found is not UNKNOWN:
        return found
    return _parsed(otherwise.strip()) if comma else None


def absolute(path: str, key: str) -> str:
    """A path as OmegaConf reads it at ``key``: each dot before it is a level above the leaf."""
    name = path.lstrip(".")
    levels = len(path) - len(name)
    if not levels:
        return name
    above = key.split(".")[:-levels]
    return ".".join([*above, name])


def found_at(config: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or ``UNKNOWN`` where there is none."""
    found: Any = config
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return UNKNOWN
        found = found[name]
    return UNKNOWN if found == MISSING else found


def _parsed(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return UNKNOWN


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    return "null" if value is None else str(value)
