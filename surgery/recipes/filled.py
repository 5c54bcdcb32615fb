"""From a recipe in mergekit's YAML back to the fields that write one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from surgery.recipes.methods import OTHERS, SHARED, Method, Parameter
from surgery.recipes.recipe import Recipe, load, model_named, read_recipe
from surgery.recipes.vocabulary import UNION
from surgery.recipes.written import FieldError, Words, dumped, write_recipe


@dataclass(frozen=True)
class Filled:
    """The arguments of ``write_recipe``. ``left`` names what the fields cannot hold."""

    method: str
    models: Sequence[str]
    base: str = ""
    parameters: str = ""
    dtype: str = ""
    words: Words = field(default_factory=Words)
    left: Sequence[str] = ()


def fill(text: str) -> Filled:
    """What the fields say of a recipe. Raises ``RecipeError``."""
    recipe, data = read_recipe(text), load(text, "The recipe")
    rows = data.get("models") or []
    models = [model_named(each["model"]) for each in rows]
    base = model_named(data["base_model"]) if data.get("base_model") else ""
    dtype = str(data.get("dtype") or "").removeprefix("torch.")
    given = data.get("parameters") or {}
    values = {**given, **_own(recipe.method, rows, models, base)}
    made = Filled(
        recipe.method.name, models, base, dumped(values) if values else "", dtype, _words(data)
    )
    return replace(made, left=_left(data, made, recipe))


def _own(
    method: Method, rows: Sequence[Mapping[str, Any]], models: Sequence[str], base: str
) -> dict[str, list[Any]]:
    """The parameters that each of the models has, as a list of one value for each."""
    found = dict[str, list[Any]]()
    for parameter in method.parameters:
        weighed = [
            each.get("parameters") or {}
            for each, name in zip(rows, models, strict=True)
            if not (parameter.of == OTHERS and name == base)
        ]
        if _is_of_each(parameter, weighed):
            found[parameter.name] = [each[parameter.name] for each in weighed]
    return found


def _is_of_each(parameter: Parameter, weighed: Sequence[Mapping[str, Any]]) -> bool:
    if parameter.of == SHARED or not weighed:
        return False
    return all(parameter.name in each for each in weighed)


def _words(data: Mapping[str, Any]) -> Words:
    own, template = data.get("tokenizer") or {}, str(data.get("chat_template") or "")
    source = (own.get("source") or UNION) if own else data.get("tokenizer_source") or ""
    tokens = dumped(own["tokens"]) if own.get("tokens") else ""
    multiple = own.get("pad_to_multiple_of")
    return Words(model_named(source) if source else "", tokens, multiple, template)


def _left(data: Mapping[str, Any], made: Filled, recipe: Recipe) -> list[str]:
    """The keys of the recipe that come out otherwise when the fields write it."""
    if not recipe.is_whole:
        return ["slices", *(["parameters"] if data.get("parameters") else [])]
    try:
        text = write_recipe(
            made.method, made.models, made.base, made.parameters, made.dtype, made.words
        )
    except FieldError:  # such as a list that is a gradient for all models
        return ["parameters"]
    before, after = _plain(data), _plain(load(text, "The recipe"))
    return sorted(name for name in before | after if before.get(name) != after.get(name))


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe with each thing said in one way."""
    plain = {name: value for name, value in data.items() if value not in (None, "", {}, [])}
    if "tokenizer_source" in plain:
        plain["tokenizer"] = {"source": plain.pop("tokenizer_source")}
    if tokenizer := plain.get("tokenizer"):
        plain["tokenizer"] = {"source": UNION, **tokenizer}
        plain["tokenizer"]["source"] = model_named(plain["tokenizer"]["source"] or UNION)
    if "dtype" in plain:
        plain["dtype"] = str(plain["dtype"]).removeprefix("torch.")
    if "base_model" in plain:
        plain["base_model"] = model_named(plain["base_model"])
    if "models" in plain:
        plain["models"] = [
            {"model": model_named(each["model"]), "parameters": each.get("parameters") or {}}
            | {name: value for name, value in each.items() if name not in ("model", "parameters")}
            for each in plain["models"]
        ]
    return plain
