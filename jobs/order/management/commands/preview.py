from argparse import ArgumentParser
from typing import Any

from jobs.management.base import warn
from jobs.order.management.base import add_recipe_arguments, faults, given_form
from jobs.order.preview import Preview
from platform_site.commands import FormError, JsonCommand


class Command(JsonCommand):
    help = (
        "Show the exact command that a recipe would run, or a part of it with the errors marked. "
        "Starts nothing."
    )

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_recipe_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        preview = Preview(given_form(options))
        if not preview.is_valid:
            raise self._refused(options, preview)
        command = preview.command
        data = {
            "argv": list(command.argv),
            "env": dict(command.env),
            "cwd": command.cwd,
            "overrides": preview.overrides,
            "steps": preview.steps,
            "notes": preview.notes,
            "warnings": warn(self, preview.form.warnings),
            "script": preview.text,
        }
        self.show(options, data, preview.text)

    def _refused(self, options: dict[str, Any], preview: Preview) -> FormError:
        """The errors, with what can be said of the command."""
        error = FormError(faults(preview.form), preview.form)
        also: dict[str, Any] = {"warnings": warn(self, preview.form.warnings)}
        if sketch := preview.sketch:
            also |= {
                "argv": list(sketch.command.argv),
                "env": dict(sketch.command.env),
                "cwd": sketch.command.cwd,
                "marks": dict(sketch.marks),
                "script": sketch.text,
            }
            if not options["json"]:
                self.stdout.write(sketch.text)
        error.also = also
        return error
