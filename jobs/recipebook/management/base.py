"""Find the recipe that a command names."""

from django.contrib.auth.models import User

from jobs.recipebook import book
from jobs.verl.recipes import Recipe
from platform_site.commands import FieldError


def find_recipe(slug: str, user: User) -> Recipe:
    recipe = book.find_recipe(slug, user)
    if recipe is None:
        known = ", ".join(book.every_recipe(user))
        raise FieldError("recipe", f"There is no recipe {slug}. There are: {known}.")
    return recipe
