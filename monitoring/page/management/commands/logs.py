import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from jobs.management.base import find_job
from jobs.models import Job
from monitoring.logs.question import LEVELS
from monitoring.logs.search import Hit
from monitoring.page import live, log_search
from monitoring.page.log_forms import ALL, LogForm
from platform_site.bounded.limits import TooMuch
from platform_site.commands import FieldError, FormError, JsonCommand

LOOK_EVERY = 0.3
ASKED = ("search", "level", "rank", "actor", "first_error")


class Command(JsonCommand):
    help = "Print a job's log, or the lines of it that match; with -f go on until the job ends."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("-f", "--follow", action="store_true")
        parser.add_argument("--search", default="", help="a regular expression; prints its lines")
        parser.add_argument("--level", choices=LEVELS, default="", help="this level or worse")
        parser.add_argument("--rank", default="")
        parser.add_argument("--actor", default="", help="of Ray: a name, or pid=NUMBER")
        parser.add_argument("--first-error", action="store_true")
        parser.add_argument("--attempt", default="", help="its log, or of all; default: the newest")

    def handle(self, *args: Any, **options: Any) -> None:
        job = find_job(options["id"])
        if any(options[name] for name in ASKED):
            self.search(job, options)
        else:
            self.print_log(job, options)

    def print_log(self, job: Job, options: dict[str, Any]) -> None:
        if options["attempt"]:
            if options["follow"]:
                raise FieldError("attempt", "--attempt does not go with --follow.")
            for number in form_of(job, options).attempts:
                self.print_from(job, 0, options["json"], number)
            return
        attempt, offset = job.attempt, 0
        while True:
            if job.attempt != attempt:  # it goes on, with a log of its own
                attempt, offset = job.attempt, 0
            ended = job.is_over or not options["follow"]
            offset = self.print_from(job, offset, options["json"])
            if ended:
                return
            time.sleep(LOOK_EVERY)
            job.refresh_from_db()

    def search(self, job: Job, options: dict[str, Any]) -> None:
        """Print the lines that match, as they are found."""
        try:
            if options["first_error"]:
                attempts = form_of(job, options).attempts
                if found := log_search.first_error(job, attempts):
                    self.print_hits(found[0], [found[1]], options)
            else:
                self.print_found(job, options)
        except (OSError, TooMuch) as error:
            raise CommandError(f"The log could not be searched. {error}") from error

    def print_found(self, job: Job, options: dict[str, Any]) -> None:
        form = form_of(job, options)
        for attempt, part in log_search.stretches(job, form.question(), form.attempts):
            self.print_hits(attempt, part.hits, options)

    def print_hits(self, attempt: int, hits: list[Hit], options: dict[str, Any]) -> None:
        of = f"{attempt}:" if options["attempt"] == ALL else ""
        for hit in hits:
            data = {**asdict(hit), "text": hit.text, "attempt": attempt}
            line = json.dumps(data, ensure_ascii=False)
            self.stdout.write(line if options["json"] else f"{of}{hit.number}: {hit.text}")
        self.stdout.flush()

    def print_from(self, job: Job, offset: int, as_json: bool, attempt: int | None = None) -> int:
        """Print all there is from a byte on; JSON is one object a part, with its offsets."""
        while part := live.read_part(job, offset, attempt):
            if as_json:
                line = {"start": part.start, "end": part.end, "text": part.text}
                self.stdout.write(json.dumps(line, ensure_ascii=False))
            else:
                self.stdout.write(part.text, ending="")
            offset = part.end
        self.stdout.flush()
        return offset


def form_of(job: Job, options: dict[str, Any]) -> LogForm:
    """What is looked for, and in which attempts' logs. Raises ``FormError``."""
    given = {name: options[name] for name in ("level", "rank", "actor", "attempt")}
    form = LogForm(job, {**given, "q": options["search"], "regex": True})
    if not form.is_valid():
        text = "; ".join(str(error) for errors in form.errors.values() for error in errors)
        raise FormError(text, form)
    return form
