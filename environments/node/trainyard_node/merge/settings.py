"""The value of a parameter for one tensor, out of what a recipe says of it.

A setting is a number, a truth value or a word; a list of numbers, which is a gradient over the
depth of the model; or a list of ``{filter, value}``, of which the first counts whose filter is a
part of the tensor's name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainyard_node.export.refused import Refused

Setting = Any
Parse = Callable[[Any], Any]
EVERY = "*"


def value_at(setting: Setting, tensor: str, depth: float, parse: Parse) -> Any:
    """What the setting is for `tensor` at `depth` (0 the first layer, 1 the last).

    `parse` makes the parameter's type of each value that stands there. Gives None where no filter
    fits. Raises Refused for what is no setting.
    """
    if isinstance(setting, Mapping):
        return value_at([setting], tensor, depth, parse)
    if not isinstance(setting, list):
        return None if setting is None else parse(setting)
    if not setting:
        return None
    if any(isinstance(part, Mapping) for part in setting):
        return _filtered(setting, tensor, depth, parse)
    return _between([parse(value) for value in setting], depth, parse)


def _filtered(parts: Sequence[Any], tensor: str, depth: float, parse: Parse) -> Any:
    for part in parts:
        if not isinstance(part, Mapping) or "value" not in part:
            raise Refused(f"A list of filters has {part!r}, which has no value.")
        wanted = part.get("filter")
        if wanted is None or wanted == EVERY or str(wanted) in tensor:
            return value_at(part["value"], tensor, depth, parse)
    return None


def _between(values: Sequence[Any], depth: float, parse: Parse) -> Any:
    """A gradient: numbers are interpolated, other values stand for a stretch each."""
    place = depth * (len(values) - 1)
    before = int(place)
    if not all(is_number(value) for value in values):
        return values[before]
    after = min(len(values) - 1, before + 1)
    share = place - before
    return parse((1 - share) * values[before] + share * values[after])


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
