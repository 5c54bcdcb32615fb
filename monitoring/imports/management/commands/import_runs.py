"""Runs that another tool recorded become jobs: done at once, not in a process of its own."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from jobs.management.base import find_user
from monitoring.imports import services
from monitoring.imports.services import ImportRefused
from monitoring.imports.working import work_off
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Make jobs of runs that another tool recorded."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", help="a file or a folder")
        parser.add_argument("--name", default="", help="of the job, where there is one run")
        parser.add_argument(
            "--user", default="", help="the owner; default: the first administrator"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path = str(Path(options["path"]).absolute())
        try:
            work = services.prepared(find_user(options["user"]), path, options["name"])
        except ImportRefused as error:
            raise FieldError("path", str(error)) from None
        work_off(work)
        work.refresh_from_db()
        if not work.is_done:
            raise CommandError(work.error)
        jobs = [{"id": job.pk, "name": job.name, "steps": job.step} for job in work.jobs.all()]
        lines = [f"{job['id']}  {job['name']}, {job['steps']} steps" for job in jobs]
        data = {"jobs": jobs, "left_out": work.left_out}
        self.show(options, data, "\n".join([*lines, *work.left_out]))
