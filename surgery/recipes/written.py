"""From what a form was given to a recipe in mergekit's YAML."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from surgery.recipes.methods import METHODS, OTHERS, SHARED
from surgery.recipes.recipe import RecipeError, load


def write_recipe(
    method: str, models: Sequence[str], base: str = "", parameters: str = "", dtype: str = ""
) -> str:
    """The YAML of a recipe. ``parameters`` has a ``name: value`` on each line; where the parameter
    is one of each model, the value is a list with one for each, in their order, or one for all.

    Raises ``RecipeError``.
    """
    known = METHODS.get(method)
    if known is None:
        raise RecipeError(f"There is no merge_method {method!r}. There are: {', '.join(METHODS)}.")
    shared, own = dict[str, Any](), [dict[str, Any]() for _ in models]
    others = [nr for nr, name in enumerate(models) if name != base]
    for name, value in _values(parameters).items():
        parameter = known.parameter(name)
        if parameter is None:
            names = ", ".join(each.name for each in known.parameters) or "none"
            raise RecipeError(f"{method} has no parameter {name}. It has: {names}.")
        which = others if parameter.of == OTHERS else range(len(models))
        if parameter.of == SHARED or not isinstance(value, list):
            shared[name] = value
            continue
        if len(value) != len(which):
            raise RecipeError(f"{name} has {len(value)} values for {len(which)} models.")
        for nr, each in zip(which, value, strict=True):
            own[nr][name] = each
    return _dumped(method, zip(models, own, strict=True), base, shared, dtype)


def _values(text: str) -> Mapping[str, Any]:
    try:
        values = load(text, "The list") or {}
    except RecipeError as error:
        raise RecipeError(f"The parameters are no lines of name: value. {error}") from error
    if not isinstance(values, dict):
        raise RecipeError("The parameters are lines of name: value, such as weight: 0.5.")
    return {str(name): value for name, value in values.items()}


def _dumped(method: str, models: Any, base: str, shared: Mapping[str, Any], dtype: str) -> str:
    data: dict[str, Any] = {"merge_method": method}
    data |= {"base_model": base} if base else {}
    data["models"] = [
        {"model": name} | ({"parameters": values} if values else {}) for name, values in models
    ]
    data |= {"parameters": dict(shared)} if shared else {}
    data |= {"dtype": dtype} if dtype else {}
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)
    return text
