from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from jobs.launch import start
from jobs.management.base import find_job
from jobs.models import Status
from jobs.starting import beating


class Command(BaseCommand):
    help = "Start a job that a worker has claimed. The workers call this; submit starts jobs."
    requires_system_checks = ()  # up made them: Django's own import every page

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        if job.status == Status.STARTING:
            with beating(job):
                start.launch(job)
