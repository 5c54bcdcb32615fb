"""What the commands of every app share."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class JsonCommand(BaseCommand):
    """A command that prints for people, or with ``--json`` one JSON value for programs."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        self.add_words(parser)

    def add_words(self, parser: ArgumentParser) -> None:
        """Add the command's own arguments."""

    def show(self, options: dict[str, Any], data: Any, text: str) -> None:
        self.stdout.write(json.dumps(data, ensure_ascii=False) if options["json"] else text)
