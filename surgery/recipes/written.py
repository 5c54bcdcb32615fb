"""From what a form was given to a recipe in mergekit's YAML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from surgery.recipes.methods import METHODS, OTHERS, SHARED
from surgery.recipes.recipe import RecipeError, load
from surgery.recipes.vocabulary import UNION


class FieldError(RecipeError):
    """What is wrong with one field of the form, by its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Words:
    """What the result's tokenizer and chat template shall be; what is empty or None stays as it is
    in the base or the first model. ``tokens`` has a ``token: {source: ...}`` on each line."""

    tokenizer: str = ""  # BASE, UNION or a folder
    tokens: str = ""
    multiple: int | None = None
    template: str = ""  # a name, or the text of a template


def write_recipe(
    method: str,
    models: Sequence[str],
    base: str = "",
    parameters: str = "",
    dtype: str = "",
    words: Words | None = None,
) -> str:
    """The YAML of a recipe. ``parameters`` has a ``name: value`` on each line; where the parameter
    is one of each model, the value is a list with one for each, in their order, or one for all.

    Raises ``FieldError``.
    """
    known = METHODS.get(method)
    if known is None:
        raise FieldError(
            "method", f"There is no merge_method {method!r}. There are: {', '.join(METHODS)}."
        )
    shared, own = dict[str, Any](), [dict[str, Any]() for _ in models]
    others = [nr for nr, name in enumerate(models) if name != base]
    for name, value in _mapping(parameters, "parameters", "weight: 0.5").items():
        parameter = known.parameter(name)
        if parameter is None:
            names = ", ".join(each.name for each in known.parameters) or "none"
            raise FieldError("parameters", f"{method} has no parameter {name}. It has: {names}.")
        which = others if parameter.of == OTHERS else range(len(models))
        if parameter.of == SHARED or not isinstance(value, list):
            shared[name] = value
            continue
        if len(value) != len(which):
            raise FieldError(
                "parameters", f"{name} has {len(value)} values for {len(which)} models."
            )
        for nr, each in zip(which, value, strict=True):
            own[nr][name] = each
    data: dict[str, Any] = {"merge_method": method}
    data |= {"base_model": base} if base else {}
    data["models"] = [
        {"model": name} | ({"parameters": values} if values else {})
        for name, values in zip(models, own, strict=True)
    ]
    data |= {"parameters": shared} if shared else {}
    data |= {"dtype": dtype} if dtype else {}
    return dumped(data | _worded(words or Words()))


def _worded(words: Words) -> dict[str, Any]:
    """What the recipe says of the tokenizer and the template."""
    tokens = _mapping(words.tokens, "tokens", '"<|im_end|>": {source: /models/a}')
    template = {"chat_template": words.template} if words.template else {}
    if not tokens and words.multiple is None:
        return ({"tokenizer_source": words.tokenizer} if words.tokenizer else {}) | template
    told: dict[str, Any] = {"source": words.tokenizer or UNION}
    told |= {"tokens": tokens} if tokens else {}
    told |= {} if words.multiple is None else {"pad_to_multiple_of": words.multiple}
    return {"tokenizer": told} | template


def _mapping(text: str, field: str, example: str) -> Mapping[str, Any]:
    """The lines of name: value that a field has."""
    try:
        values = load(text, "The list") or {}
    except RecipeError as error:
        said = f"The {field} are no lines of name: value, such as {example}. {error}"
        raise FieldError(field, said) from error
    if not isinstance(values, dict):
        raise FieldError(field, f"The {field} are lines of name: value, such as {example}.")
    return {str(name): value for name, value in values.items()}


def dumped(data: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=1000)
    return text
