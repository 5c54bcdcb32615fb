import json
import time
from argparse import ArgumentParser
from typing import Any

from jobs.management.base import find_job
from jobs.models import Job
from monitoring.page import live
from platform_site.commands import JsonCommand

LOOK_EVERY = 0.3


class Command(JsonCommand):
    help = "Print a job's log; with -f go on until the job ends."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument("-f", "--follow", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        job, offset = find_job(options["id"]), 0
        attempt = job.attempt
        while True:
            if job.attempt != attempt:  # it goes on, with a log of its own
                attempt, offset = job.attempt, 0
            ended = job.is_over or not options["follow"]
            offset = self.print_from(job, offset, options["json"])
            if ended:
                return
            time.sleep(LOOK_EVERY)
            job.refresh_from_db()

    def print_from(self, job: Job, offset: int, as_json: bool) -> int:
        """Print all there is from a byte on; JSON is one object a part, with its offsets."""
        while part := live.read_part(job, offset):
            if as_json:
                line = {"start": part.start, "end": part.end, "text": part.text}
                self.stdout.write(json.dumps(line, ensure_ascii=False))
            else:
                self.stdout.write(part.text, ending="")
            offset = part.end
        self.stdout.flush()
        return offset
