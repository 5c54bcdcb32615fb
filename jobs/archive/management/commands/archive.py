from argparse import ArgumentParser
from typing import Any

from jobs.archive import services
from jobs.archive.management.base import add_jobs, of_each
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Take jobs that are over out of the lists. They keep all that they have."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_jobs(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        of_each(self, options, services.archive, services.why_not_archived, "is in the archive")
