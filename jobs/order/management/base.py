"""Options of the commands that make a job, and the form that is filled from them."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from jobs.management.base import add_set_argument, find_user, sets_of
from jobs.order.forms import JobForm, form_data
from jobs.recipebook.management.base import find_recipe
from jobs.verl.recipes import Recipe
from platform_site.commands import FormError


def add_recipe_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", help="a recipe's name: see manage.py recipes")
    add_order_arguments(parser)


def add_order_arguments(parser: ArgumentParser) -> None:
    add_set_argument(parser)
    parser.add_argument("--name", default="", help="the job's name")
    parser.add_argument("--user", default="", help="the owner (default: the first administrator)")


def given_form(options: dict[str, Any]) -> JobForm:
    """A recipe's form with ``--set`` applied; it may have errors."""
    user = find_user(options["user"])
    recipe = find_recipe(options["recipe"], user)
    data = form_data(recipe, options["name"], sets_of(options))
    return JobForm(recipe, user, data, is_final=True)


def filled_form(options: dict[str, Any]) -> JobForm:
    """The same where it is valid. Raises ``CommandError`` with all errors."""
    return checked(given_form(options))


def checked_form(recipe: Recipe, user: User, data: dict[str, Any]) -> JobForm:
    return checked(JobForm(recipe, user, data, is_final=True))


def checked(form: JobForm) -> JobForm:
    if not form.is_valid():
        raise FormError(faults(form), form)
    return form


def faults(form: JobForm) -> str:
    lines = [
        f"  {name if name in form.fields else 'run'}: {message}"
        for name, messages in form.errors.items()
        for message in messages
    ]
    return "\n".join(["Nothing was started:", *lines])
