"""The base class of management commands in every app."""

import json
import re
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    handle_default_options,
)
from django.db import DatabaseError, OperationalError, ProgrammingError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.forms import BaseForm

Problem = dict[str, str]  # code, field, message
# argparse names one argument as "argument -f/--follow: …", or the first of those that lack.
ARGUMENT = re.compile(r"argument (?P<name>[\w/-]+): |are required: (?P<missing>[\w-]+)")


class NamedError(CommandError):
    """One that says of which arguments it is."""

    problems: Sequence[Problem] = ()
    also: Mapping[str, Any] = MappingProxyType({})  # what a program reads beside the errors


class FieldError(NamedError):
    """What is wrong with one argument: its name, as a form or the parser calls it."""

    def __init__(self, field: str, message: str, code: str = "invalid") -> None:
        super().__init__(message)
        self.problems = [{"code": code, "field": field, "message": message}]


class FormError(NamedError):
    """What is wrong with the fields that a command was given."""

    def __init__(self, message: str, form: BaseForm) -> None:
        super().__init__(message)
        self.problems = [
            {
                "code": str(error["code"]) or "invalid",
                "field": name if name in form.fields else "",
                "message": str(error["message"]),
            }
            for name, errors in form.errors.get_json_data().items()
            for error in errors
        ]


class JsonCommand(BaseCommand):
    """A command that prints text for people, or one JSON value for programs with ``--json``."""

    # Django's own checks import every page, which takes half a second: ``up`` makes them.
    requires_system_checks = ("kinds",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        self.add_own_arguments(parser)

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        """Add the command's own arguments."""

    def show(self, options: dict[str, Any], data: Any, text: str) -> None:
        self.stdout.write(json.dumps(data, ensure_ascii=False) if options["json"] else text)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (OperationalError, ProgrammingError):
            if not is_behind():
                raise
        raise CommandError(
            "The database of this home is not made, or older than this version: run manage.py "
            "migrate, or start Trainyard by manage.py up."
        )

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django does, but with ``--json`` an error is JSON on the standard output, too."""
        if "--json" not in argv[2:]:
            super().run_from_argv(argv)
            return
        try:
            self._run(argv)
        except CommandError as error:
            also = error.also if isinstance(error, NamedError) else {}
            shown = {"errors": problems_of(error), **also}
            self.stdout.write(json.dumps(shown, ensure_ascii=False))
            sys.exit(error.returncode)
        finally:
            connections.close_all()

    def _run(self, argv: Sequence[str]) -> None:
        self._called_from_command_line = False  # so that the parser raises and does not exit
        try:
            options = self.create_parser(argv[0], argv[1]).parse_args(argv[2:])
        except CommandError as error:
            raise UsageError(str(error)) from None
        handle_default_options(options)
        given = vars(options)
        self.execute(*given.pop("args", ()), **given)


class UsageError(CommandError):
    """The command line is none of this command's."""


def problems_of(error: CommandError) -> list[Problem]:
    if isinstance(error, NamedError):
        return list(error.problems)
    if isinstance(error, UsageError):
        return [{"code": "usage", "field": argument_in(str(error)), "message": str(error)}]
    return [{"code": "refused", "field": "", "message": str(error)}]


def argument_in(message: str) -> str:
    """The argument that the parser complains about, as a name: ``max_length``."""
    found = ARGUMENT.search(message)
    name = found["name"] or found["missing"] if found else ""
    return name.rpartition("/")[2].lstrip("-").replace("-", "_")


def is_behind() -> bool:
    """Whether migrations are still to be made."""
    try:
        executor = MigrationExecutor(connection)
        return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:
        return False
