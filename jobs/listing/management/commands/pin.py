from argparse import ArgumentParser
from typing import Any

from jobs.listing import marks
from jobs.management.base import as_json, find_job, find_user
from platform_site.commands import JsonCommand


class Command(JsonCommand):
    help = "Let jobs stand first in a user's list, or no more."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, nargs="+")
        parser.add_argument("--off", action="store_true", help="take the pin away")
        parser.add_argument("--user", default="", help="whose list (default: first administrator)")

    def handle(self, *args: Any, **options: Any) -> None:
        user, on = find_user(options["user"]), not options["off"]
        jobs = list(map(find_job, options["id"]))
        for job in jobs:
            marks.pin(job, user, on=on)
        text = "\n".join(f"Job {job.pk} is {'pinned' if on else 'not pinned'}." for job in jobs)
        self.show(options, [{**as_json(job), "pinned": on} for job in jobs], text)
