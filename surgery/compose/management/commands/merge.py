import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from jobs.launch.management.submitting import add_wait_option, show_submitted
from jobs.management.base import find_user
from platform_site.commands import FieldError, JsonCommand
from platform_site.fields import one_line
from surgery.compose import services
from surgery.compose.checks import check
from surgery.kinds.merge import MergeSpec
from surgery.making.checks import SurgeryError
from surgery.making.management.base import machine_of
from surgery.making.trying import look
from surgery.recipes.recipe import RecipeError


class Command(JsonCommand):
    help = "Merge models as a recipe in mergekit's YAML says, by a job on their machine."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("recipe", help="a YAML file, or - for standard input")
        parser.add_argument("--name", default="", help="the new job's name")
        parser.add_argument("--machine", default="", help="where the models lie (default: here)")
        parser.add_argument("--check", action="store_true", help="make no job, only check")
        parser.add_argument("--user", default="", help="who asks (default: first administrator)")
        add_wait_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        owner, machine = find_user(options["user"]), machine_of(options["machine"])
        text = _text(options["recipe"])
        try:
            one_line(options["name"])
            if options["check"]:
                recipe = check(text, machine, owner)
                seen = look(MergeSpec(text), machine)
                facts = {
                    "method": recipe.method.name, "models": list(recipe.models), "seen": dict(seen),
                }  # fmt: skip
                self.show(options, facts, f"{recipe.method.name}: {', '.join(recipe.models)}")
                return
            made = services.merge(text, machine, owner, name=options["name"][:200])
        except (RecipeError, SurgeryError) as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise FieldError("name", "; ".join(error.messages)) from error
        show_submitted(self, options, made)


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FieldError("recipe", f"The recipe {path} cannot be read: {error}") from error
