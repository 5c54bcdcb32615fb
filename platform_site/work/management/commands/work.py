from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from platform_site.work import doing
from platform_site.work.doers import DONE_BY


class Command(BaseCommand):
    help = "Do a piece of long work that somebody asked for. The workers call this."
    requires_system_checks = ()  # up made them: Django's own import every page

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("label", help="its model: " + ", ".join(sorted(DONE_BY)))
        parser.add_argument("pk", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["label"] not in DONE_BY:
            raise CommandError(f"Nothing does {options['label']}. Known: {sorted(DONE_BY)}.")
        doing.work_off(options["label"], options["pk"])
