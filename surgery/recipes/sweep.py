"""One recipe with a range of values for a parameter: a recipe for each value.

    t=0.1:0.9:0.2

says which parameter, from where, up to where and in which steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml

from surgery.recipes.inert import why_alike
from surgery.recipes.methods import METHODS, OTHERS, RATIO, Method
from surgery.recipes.recipe import RecipeError, load

MOST = 50
FORM = "Write it as t=0.1:0.9:0.2: the parameter, from, to and the step between two values."
FINEST = Decimal("1e-6")
LARGEST = Decimal(10**6)


@dataclass(frozen=True)
class Range:
    """``values`` are in the order of the range, two at least."""

    name: str
    values: Sequence[float]


class RangeError(RecipeError):
    """What is wrong with the range, or with the parameter that it names."""


def read_range(text: str) -> Range:
    """Raises ``RangeError``."""
    name, equals, span = text.partition("=")
    parts = span.split(":")
    if not name.strip() or not equals or len(parts) != 3:
        raise RangeError(f"{text!r} is no range. {FORM}")
    first, last, step = (_number(part, text) for part in parts)
    if step < FINEST or last <= first:
        raise RangeError(f"{text!r} has no two values: it goes up, in steps of {FINEST} or more.")
    count = int((last - first) / step) + 1
    if not 2 <= count <= MOST:
        raise RangeError(f"{text!r} has {count} values; a sweep has from 2 to {MOST}.")
    return Range(name.strip(), [float(first + step * nr) for nr in range(count)])


def _number(part: str, text: str) -> Decimal:
    try:
        number = Decimal(part.strip())
    except InvalidOperation:
        raise RangeError(f"{part!r} in {text!r} is no number. {FORM}") from None
    if not number.is_finite() or abs(number) > LARGEST:
        raise RangeError(f"{part!r} in {text!r} is too large, or no number.")
    return number


def swept(recipe: str, over: Range) -> list[tuple[float, str]]:
    """A recipe for each value. Each is still to be read and checked. Raises ``RecipeError``."""
    return [(value, _with(recipe, over.name, value)) for value in over.values]


def _with(recipe: str, name: str, value: float) -> str:
    data = load(recipe, "The recipe")
    method = METHODS.get(str(data.get("merge_method"))) if isinstance(data, dict) else None
    if method is None:
        raise RecipeError("The recipe has no merge_method that is known.")
    if name == RATIO:
        _share(data, method, value)
    else:
        _set(data, method, name, value)
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)
    return text


def _set(data: dict[str, Any], method: Method, name: str, value: float) -> None:
    parameter = method.parameter(name)
    if parameter is None or parameter.kind is bool:
        known = [each.name for each in method.parameters if each.kind is not bool]
        also = [RATIO] if method.parameter("weight") else []
        names = ", ".join([*known, *also]) or "none"
        raise RangeError(f"{method.name} has no number {name} to sweep. It has: {names}.")
    if any(name in own for own in _below(data)):
        raise RangeError(
            f"A model or a slice of the recipe has a {name} of its own, which would stay as it is. "
            "Leave it out there."
        )
    if reason := why_alike(data, method, name):
        raise RangeError(reason)
    given = data.get("parameters") or {}
    is_whole = parameter.kind is int and value.is_integer()
    if isinstance(given, dict):
        _check_single(given, name, "the recipe")
        data["parameters"] = {**given, name: int(value) if is_whole else value}


def _share(data: dict[str, Any], method: Method, value: float) -> None:
    weight = method.parameter("weight")
    if weight is None:
        raise RangeError(f"{method.name} has no weights, so no {RATIO} of two models.")
    entries = data.get("models")
    rows = entries if isinstance(entries, list) else []
    models = [each for each in rows if isinstance(each, dict)]
    base = data.get("base_model") if weight.of == OTHERS else None
    models = [each for each in models if base is None or each.get("model") != base]
    if len(models) != 2:
        raise RangeError(f"A {RATIO} is of two models; the recipe weighs {len(models)}.")
    for each, share in zip(models, (round(1 - value, 9), value), strict=True):
        own = each.get("parameters") or {}
        if isinstance(own, dict):
            _check_single(own, "weight", "a model")
            each["parameters"] = {**own, "weight": share}


def _check_single(given: dict[str, Any], name: str, where: str) -> None:
    """A number takes the place of a number; that of filters or of a gradient would lose them."""
    if isinstance(given.get(name), dict | list):
        raise RangeError(
            f"The {name} of {where} differs by the layer or the tensor, which a sweep would "
            "replace by one number. Write one number there, or leave it out."
        )


def _below(data: Any, is_top: bool = True) -> Iterator[dict[str, Any]]:
    """The parameters of models and of slices."""
    if isinstance(data, dict):
        own = data.get("parameters")
        if not is_top and isinstance(own, dict):
            yield own
        for name, each in data.items():
            if name in ("models", "slices", "sources"):
                yield from _below(each, is_top=False)
    elif isinstance(data, list):
        for each in data:
            yield from _below(each, is_top=False)
