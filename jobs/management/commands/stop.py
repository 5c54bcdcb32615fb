from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs import services
from jobs.management.base import as_json, find_job, find_user
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Stop a job: SIGTERM to its processes, SIGKILL after the grace period. Nothing is saved."

    def add_words(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("--user", default="", help="who asks (default: first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        who = find_user(options["user"]).get_username()
        if not services.stop(job, who=who):
            asked = "was asked to stop before" if job.stop_asked_at else f"is {job.status}"
            raise CommandError(f"Job {job.pk} {asked}.")
        self.show(options, as_json(job), f"Job {job.pk}: stop asked, now {job.status}.")
