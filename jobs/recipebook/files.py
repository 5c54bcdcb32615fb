"""Recipes as TOML files, to move them from one instance to another."""

import re
import tomllib
from collections.abc import Mapping
from math import isfinite
from typing import Any

from django.contrib.auth.models import User

from jobs.kinds.registry import registry
from jobs.models import SavedRecipe
from jobs.places import places
from jobs.recipebook.book import has_knob, has_recipes, keep_recipe, reads_samples
from jobs.verl.recipes import Recipe
from jobs.verl.spec import TrainSpec, Value
from jobs.verl.toml import write_toml

PLACE = re.compile(r"\{\{|\}\}|\{(\w*)\}|[{}]")  # the placeholders that Recipe.spec reads
LARGEST_FILE = 256 * 1024


class RecipeError(Exception):
    """A recipe cannot be read. The message is a sentence for the user."""


def export_recipe(recipe: Recipe) -> str:
    """A recipe as TOML that ``import_recipe`` and ``jobs/recipes`` can read."""
    head = {"kind": recipe.kind, "title": recipe.title, "purpose": recipe.purpose}
    rest = {"needs": recipe.needs, "overrides": list(recipe.overrides)}
    return write_toml({**head, **rest, "values": dict(recipe.values)})


def import_recipe(owner: User, text: str) -> SavedRecipe:
    """Save a recipe that was exported here or elsewhere. Raises ``RecipeError``."""
    if len(text) > LARGEST_FILE:
        raise RecipeError("That file is too large for a recipe: 256 KiB are the most.")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"That is not TOML: {error}.") from None
    except ValueError:  # a number of thousands of digits
        raise RecipeError("That is not TOML: a number in it is too long.") from None
    except RecursionError:
        raise RecipeError("That is no recipe: its lists lie too deep in each other.") from None
    spec, title = _read_spec(data), _word(data, "title")[:200]
    return keep_recipe(
        title,
        owner=owner,
        purpose=_word(data, "purpose", ""),
        kind=spec.kind,
        spec=spec.to_json(),
        is_sample=data.get("sample") is True and reads_samples(spec),
    )


def _read_spec(data: Mapping[str, Any]) -> TrainSpec:
    kind, values = _word(data, "kind"), data.get("values")
    if not has_recipes(kind):
        known = ", ".join(slug for slug in registry().kinds if has_recipes(slug))
        raise RecipeError(f"kind is {kind!r}: it is one of {known}.")
    if not isinstance(values, dict):
        raise RecipeError("There is no table [values].")
    overrides = data.get("overrides", [])
    if not isinstance(overrides, list) or not all(map(_is_line, overrides)):
        raise RecipeError("overrides is a list of texts of one line.")
    read = {name: _read_value(kind, name, value) for name, value in values.items()}
    return TrainSpec(kind, read, tuple(overrides))


def _read_value(kind: str, name: str, value: Any) -> Value:
    if not has_knob(kind, name):
        raise RecipeError(f"{registry().find(kind).label} has no setting {name}.")
    if isinstance(value, str) and _is_line(value):
        return PLACE.sub(_filled, value)
    if isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    raise RecipeError(f"{name} is neither a line of text, a number, true nor false.")


def _is_line(text: object) -> bool:
    return isinstance(text, str) and text.isprintable()


def _filled(found: re.Match[str]) -> str:
    """The folder for a name in braces, or one brace for a doubled one."""
    if found[0] in ("{{", "}}"):
        return found[0][0]
    if found[1] in places():
        return places()[found[1]]
    names = ", ".join(f"{{{name}}}" for name in places())
    raise RecipeError(
        f"{found[0]} is not a folder that is known. Known are {names}; a brace is written twice."
    )


def _word(data: Mapping[str, Any], name: str, default: str | None = None) -> str:
    text = data.get(name, default)
    if not isinstance(text, str) or "\0" in text or (default is None and not text.strip()):
        raise RecipeError(f"{name} is missing: it is a text.")
    return text
