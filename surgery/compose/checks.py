"""What can be known of a merge before its job is made."""

from django.contrib.auth.models import User

from compute.models import Machine
from surgery.kinds.merge import MergeSpec
from surgery.making.checks import (
    ALIKE,
    VOCABULARY,
    check_adapters,
    check_alike,
    check_machine,
    check_places,
)
from surgery.recipes.recipe import Recipe, read_recipe


def check(text: str, machine: Machine, user: User) -> Recipe:
    """The recipe, if it can be worked on that machine for all that is known here.

    Raises ``SurgeryError``, and ``RecipeError`` for what is no recipe.
    """
    recipe = read_recipe(text)
    check_machine(machine, MergeSpec(text))
    check_places(recipe.read, machine, user)
    check_adapters(recipe.adapters, machine, user)
    names = [name for name in ALIKE if not (recipe.aligns and name == VOCABULARY)]
    check_alike(recipe.models if recipe.is_whole else recipe.models[:0], machine, names)
    return recipe
