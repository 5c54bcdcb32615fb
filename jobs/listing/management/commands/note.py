from argparse import ArgumentParser
from typing import Any

from jobs.listing import marks
from jobs.management.base import as_json, find_job
from jobs.models.jobs import LONGEST_NOTE
from platform_site.commands import FieldError, JsonCommand


class Command(JsonCommand):
    help = "Write a note on a job in place of the one that it has; an empty text takes it away."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("text")

    def handle(self, *args: Any, **options: Any) -> None:
        if len(options["text"]) > LONGEST_NOTE:
            raise FieldError("text", f"A note has at most {LONGEST_NOTE} characters.")
        job = find_job(options["id"])
        marks.note(job, options["text"])
        self.show(options, {**as_json(job), "note": job.note}, job.note or "No note.")
