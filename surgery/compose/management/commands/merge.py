import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from compute.models import Machine
from jobs.launch.management.submitting import add_wait_option, show_submitted, wait
from jobs.launch.submit import NotSubmitted
from jobs.management.base import find_user
from jobs.models import Status
from platform_site.commands import FieldError, JsonCommand
from platform_site.fields import one_line
from surgery.compose import services, sweeping
from surgery.compose.checks import check
from surgery.compose.management.told import as_json, in_lines
from surgery.kinds.merge import MergeSpec
from surgery.making.management.base import machine_of
from surgery.making.trying import look
from surgery.recipes.recipe import RecipeError


class Command(JsonCommand):
    help = "Merge models as a recipe in mergekit's YAML says, by a job on their machine."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("recipe", help="a YAML file, or - for standard input")
        parser.add_argument("--name", default="", help="the new job's name")
        parser.add_argument("--machine", default="", help="where the models lie (default: here)")
        parser.add_argument(
            "--sweep", default="", metavar="NAME=FROM:TO:STEP",
            help="a merge for each value of a parameter, as t=0.1:0.9:0.2",
        )  # fmt: skip
        parser.add_argument("--check", action="store_true", help="make no job, only check")
        parser.add_argument("--user", default="", help="who asks (default: first administrator)")
        add_wait_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        owner, machine = find_user(options["user"]), machine_of(options["machine"])
        text = _text(options["recipe"])
        try:
            one_line(options["name"])
            if options["sweep"]:
                self.do_sweep(text, machine, owner, options)
                return
            if options["check"]:
                recipe = check(text, machine, owner)
                seen = look(MergeSpec(text), machine)
                facts = {
                    "method": recipe.method.name, "models": list(recipe.models), "seen": dict(seen),
                }  # fmt: skip
                self.show(options, facts, f"{recipe.method.name}: {', '.join(recipe.models)}")
                return
            made = services.merge(text, machine, owner, name=options["name"][:200])
        except (RecipeError, NotSubmitted) as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise FieldError("name", "; ".join(error.messages)) from error
        show_submitted(self, options, made)

    def do_sweep(self, text: str, machine: Machine, owner: User, options: dict[str, Any]) -> None:
        asked = (text, options["sweep"], machine, owner)
        if options["check"]:
            planned = sweeping.plan(*asked)
            look(MergeSpec(planned[0].text), machine)
            rows = [{"value": each.value, "recipe": each.text} for each in planned]
            self.show(options, rows, "\n".join(f"{each.value:g}" for each in planned))
            return
        made = sweeping.sweep(*asked, name=options["name"][:170])
        if options["wait"]:
            for row in made.merges.select_related("job"):
                wait(row.job)
        data = as_json(made)
        self.show(options, data, in_lines(data))
        if options["wait"] and any(each["status"] != Status.COMPLETED for each in data["merges"]):
            sys.exit(1)


def _text(path: str) -> str:
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FieldError("recipe", f"The recipe {path} cannot be read: {error}") from error
