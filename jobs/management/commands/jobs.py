from argparse import ArgumentParser
from typing import Any

from jobs.kinds.registry import registry
from jobs.management.base import as_json, as_line
from jobs.models import HELD, Job, Status
from platform_site.commands import JsonCommand


def count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("negative")
    return number


class Command(JsonCommand):
    help = "List jobs, newest first."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--status", choices=[*Status.values, HELD])
        parser.add_argument("--archive", choices=["no", "only", "all"], default="no")
        parser.add_argument("--kind", choices=[*registry().kinds])
        parser.add_argument("--limit", type=count, default=50)

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = Job.objects.select_related("machine", "owner")
        if options["archive"] != "all":
            jobs = jobs.filter(archived_at__isnull=options["archive"] == "no")
        if options["status"]:
            jobs = jobs.standing(options["status"])
        if options["kind"]:
            jobs = jobs.filter(kind=options["kind"])
        jobs = jobs[: options["limit"]]
        text = "\n".join(map(as_line, jobs)) or "There are no jobs."
        self.show(options, [as_json(job) for job in jobs], text)
