"""Options of the commands that make a job, and the form that is filled from them."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand

from jobs.management.base import find_user
from jobs.order.forms import JobForm, form_data
from jobs.recipebook.management.base import find_recipe
from jobs.verl.recipes import Recipe
from platform_site.commands import FieldError, FormError


def add_recipe_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", help="a recipe's name: see manage.py recipes")
    add_order_arguments(parser)


def add_order_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="k=v",
        help="a knob, by its name or its Hydra key, or a further Hydra override",
    )
    parser.add_argument("--name", default="", help="the job's name")
    parser.add_argument("--user", default="", help="the owner (default: the first administrator)")


def filled_form(options: dict[str, Any]) -> JobForm:
    """A recipe's valid form with ``--set`` applied. Raises ``CommandError`` with all errors."""
    user = find_user(options["user"])
    recipe = find_recipe(options["recipe"], user)
    return checked_form(recipe, user, form_data(recipe, options["name"], sets_of(options)))


def sets_of(options: dict[str, Any]) -> list[str]:
    """The values of ``--set``. Raises ``CommandError`` for one without a key."""
    for text in options["set"]:
        if "=" not in text and not text.startswith("~"):
            raise FieldError("set", f"--set {text}: write key=value.")
    sets: list[str] = options["set"]
    return sets


def checked_form(recipe: Recipe, user: User, data: dict[str, Any]) -> JobForm:
    form = JobForm(recipe, user, data, is_final=True)
    if not form.is_valid():
        raise FormError(faults(form), form)
    return form


def warn(command: BaseCommand, form: JobForm) -> list[dict[str, str]]:
    """Tell what is unusual on the error output; gives it as a program reads it."""
    for told in form.warnings:
        command.stderr.write(f"Warning: {told}")
    return [{"field": told.field, "message": told.message} for told in form.warnings]


def faults(form: JobForm) -> str:
    lines = [
        f"  {name if name in form.fields else 'run'}: {message}"
        for name, messages in form.errors.items()
        for message in messages
    ]
    return "\n".join(["Nothing was started:", *lines])
