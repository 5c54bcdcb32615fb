from argparse import ArgumentParser
from typing import Any

from jobs.archive import services
from jobs.archive.management.base import add_jobs, of_each
from jobs.models import Job
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Show archived jobs in the lists again."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        add_jobs(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        of_each(self, options, services.unarchive, why_not, "is in the list again")


def why_not(job: Job) -> str:
    return f"Job {job.pk} is not in the archive."
