"""The values of a recipe of a chain, each held to what it may be."""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST_VALUES = 50  # of one field, and models of one step
LONGEST_TEXT = 1000


class ChainError(ValueError):
    """What is wrong with the recipe of a chain, as a sentence that names the step."""


def check_known(data: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in data:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            hint = f" Did you mean {near[0]}?" if near else f" It has: {', '.join(keys)}."
            raise ChainError(f"{where} has no {shown(key)}.{hint}")


def mapping_of(data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise ChainError(f"{where} is no mapping: write key: value.")
    return data


def several(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def sets_of(given: Any, where: str) -> dict[str, str]:
    return {} if given is None else {
        key_of(key, where): value_of(value, f"{where}: {key}")
        for key, value in mapping_of(given, where).items()
    }  # fmt: skip


def over_of(given: Any, where: str) -> dict[str, list[str]]:
    if given is None:
        return {}
    found = {}
    for key, values in mapping_of(given, where).items():
        if not isinstance(values, list) or not 1 <= len(values) <= MOST_VALUES:
            raise ChainError(f"{where}: {shown(key)} is a list of 1 to {MOST_VALUES} values.")
        named = [value_of(value, f"{where}: {key}") for value in values]
        found[key_of(key, where)] = list(dict.fromkeys(named))
    if math.prod(map(len, found.values())) > MOST_VALUES:
        raise ChainError(f"{where} has more than {MOST_VALUES} combinations.")
    return found


def key_of(key: Any, where: str) -> str:
    if not isinstance(key, str) or not key:
        raise ChainError(f"{where} has the key {shown(key)}, which is no name.")
    return key


def value_of(value: Any, where: str) -> str:
    """A value as a form takes it: YAML's true and false as a command writes them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "\n".join(value_of(each, where) for each in value)
    if value is None or isinstance(value, dict):
        raise ChainError(f"{where} is {shown(value)}, and not a text or a number.")
    return text_of(str(value), where, 10_000)


def text_of(given: Any, where: str, most: int = LONGEST_TEXT) -> str:
    if not isinstance(given, str):
        raise ChainError(f"{where} is {shown(given)}, and not a text.")
    if len(given) > most:
        raise ChainError(f"{where} has {len(given)} characters; {most} are the most.")
    return given.strip()


def one_line(given: Any, where: str, most: int) -> str:
    text = " ".join(text_of(given, where, most).split())
    if not text or not text.isprintable():
        raise ChainError(f"{where} is {shown(given)}, and not a line of printable characters.")
    return text


def number_of(given: Any, where: str) -> float | None:
    if given is None:
        return None
    if type(given) not in (int, float) or not abs(given) < 1e300:
        raise ChainError(f"{where} is {shown(given)}, and not a number.")
    return float(given)


def side_of(given: Any, where: str) -> bool | None:
    if given is None:
        return None
    if given not in ("higher", "lower"):
        raise ChainError(f"{where}: better is {shown(given)}, and not higher or lower.")
    return bool(given == "higher")


def shown(value: Any) -> str:
    text = str(value)
    return f"“{text[:60]}…”" if len(text) > 60 else f"“{text}”"
