from argparse import ArgumentParser
from typing import Any

from jobs.listing import marks
from jobs.management.base import as_json, find_job, find_user
from jobs.models.jobs import LONGEST_NOTE
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Write a note on a job in place of the one that it has; an empty text takes it away."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("text")
        parser.add_argument("--user", default="", help="who writes it, for the job's events")

    def handle(self, *args: Any, **options: Any) -> None:
        if len(options["text"]) > LONGEST_NOTE:
            raise FieldError("text", f"A note has at most {LONGEST_NOTE} characters.")
        job = find_job(options["id"])
        who = find_user(options["user"]).get_username() if options["user"] else ""
        marks.note(job, options["text"], who=who)
        self.show(options, {**as_json(job), "note": job.note}, job.note or "No note.")
