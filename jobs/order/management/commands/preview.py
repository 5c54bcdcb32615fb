from argparse import ArgumentParser
from typing import Any

from jobs.order.management.base import add_recipe_arguments, filled_form, warn
from jobs.order.preview import Preview
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Show the exact command that a recipe would run. Starts nothing."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_recipe_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        preview = Preview(filled_form(options))
        command = preview.command
        data = {
            "argv": list(command.argv),
            "env": dict(command.env),
            "cwd": command.cwd,
            "overrides": preview.overrides,
            "steps": preview.steps,
            "notes": preview.notes,
            "warnings": warn(self, preview.form),
            "script": preview.text,
        }
        self.show(options, data, preview.text)
