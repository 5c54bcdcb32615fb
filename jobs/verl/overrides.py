"""Read and write Hydra overrides by Hydra's own grammar, which verl will use.

Hydra is imported where it is used: it takes 0.2 s, and most commands read no override.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jobs.verl.spec import Value

LONGEST = 5000  # characters
DEEPEST = 30  # brackets within each other
SHOWN = 80
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./")
# OmegaConf reads a backslash as an escape only before "${".
INTERPOLATION = re.compile(r"(\\*)\$\{")


@dataclass(frozen=True)
class Override:
    """One parsed override. ``adds`` is true for ``+key`` and ``++key``."""

    key: str
    value: Any
    adds: bool
    removes: bool
    text: str


@lru_cache(maxsize=1024)  # a preview reads the same lines at each key that is pressed
@lru_cache(maxsize=4096)  # a form asks for the same ones many times
def parse(text: str) -> Override:
    """Parse one override. Nobody may change the value: it is shared.

    Raises ``ValueError`` with a sentence for the user when Hydra's grammar refuses the text, or
    when it is a sweep: a run has one value for a key.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import OverrideType, QuotedString
    from hydra.errors import HydraException

    if len(text) > LONGEST or depth(text) > DEEPEST:
        raise ValueError(f"'{text[:SHOWN]}…' is too long for an override, or nested too deep")
    try:
        parsed = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ValueError(f"'{text}' is not key=value: {_first_line(error)}") from None
    if parsed.is_sweep_override():
        raise ValueError(f"'{text}' lists several values; a list is written [a,b]")
    if not parsed.key_or_group:
        raise ValueError(f"'{text}' is not key=value: it names no key")
    removes = parsed.type == OverrideType.DEL
    adds = parsed.type in (OverrideType.ADD, OverrideType.FORCE_ADD)
    value = None if removes else parsed.value()
    if isinstance(value, QuotedString):
        value = value.text
    return Override(parsed.key_or_group, value, adds, removes, text)


def readable(texts: Iterable[str]) -> Iterator[Override]:
    """The readable overrides among ``texts``; ``checks.check_overrides`` reports the others."""
    for text in texts:
        with suppress(ValueError):
            yield parse(text)


def below(texts: Iterable[str], node: str) -> dict[str, Any]:
    """What the overrides set at ``node`` and below it, as a nested dict."""
    found: dict[str, Any] = {}
    for override in readable(texts):
        if override.removes:
            continue
        value = _unquoted(override.value)
        if override.key == node and isinstance(value, dict):
            found |= value
        elif override.key.startswith(f"{node}."):
            *folders, last = override.key.removeprefix(f"{node}.").split(".")
            _inside(found, folders)[last] = value
    return found


def _inside(node: dict[str, Any], folders: Iterable[str]) -> dict[str, Any]:
    for name in folders:
        if not isinstance(node.get(name), dict):
            node[name] = {}
        node = node[name]
    return node


def _unquoted(value: Any) -> Any:
    """The value with plain text in place of Hydra's quoted text."""
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, dict):
        return {str(_unquoted(key)): _unquoted(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_unquoted(entry) for entry in value]
    return value.text if isinstance(value, QuotedString) else value


def key_of(text: str) -> str:
    """The key of an override by its writing alone, whether it can be read or not."""
    return text.partition("=")[0].strip().lstrip("+~")


def depth(text: str) -> int:
    """How deep brackets lie in each other, at the most; those within quotes count as well."""
    deepest = now = 0
    for letter in text:
        now += (letter in "[{(") - (letter in "]})")
        deepest = max(deepest, now)
    return deepest


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else "it cannot be read"


def write_value(value: Value) -> str:
    """Write a knob's value so that Hydra reads back exactly the same one.

    Text is quoted unless it is a plain word or path, or a list that the user wrote as one. ``${``
    is escaped, so OmegaConf interpolates no text.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if value and set(value) <= PLAIN and not _reads_as_other(value):
        return value
    if value.startswith("[") and value.endswith("]") and set(value[1:-1]) <= PLAIN | {","}:
        return value
    from hydra.core.override_parser.types import Quote, QuotedString

    escaped = INTERPOLATION.sub(r"\1\1\\${", value)
    return str(QuotedString(escaped, Quote.single).with_quotes())


@lru_cache(maxsize=2048)  # a preview asks for the same few words at each key that is pressed
def _reads_as_other(text: str) -> bool:
    """True for words such as ``null`` or ``1e5``, which Hydra would not read as text."""
    try:
        return not isinstance(parse(f"a={text}").value, str)
    except ValueError:
        return True
