import sys
import time
from argparse import ArgumentParser
from typing import Any

from compute.machines.load import load_of
from jobs.launch import submit
from jobs.management.base import as_json, as_line
from jobs.models import Job, Status
from jobs.order.management.base import add_recipe_words, filled_form
from jobs.queue import rental
from platform_site.commands import JsonCommand

LOOK_EVERY = 0.5


class Command(JsonCommand):
    help = "Submit a job from a recipe. With --wait the exit code is 0 only if it completed."

    def add_words(self, parser: ArgumentParser) -> None:
        add_recipe_words(parser)
        parser.add_argument("--wait", action="store_true", help="wait until the job has ended")

    def handle(self, *args: Any, **options: Any) -> None:
        job = submit.submit(filled_form(options).order(), start=True)
        if load_of(job.machine)["sample"] is None:
            self.stderr.write("Queued, but nothing runs the queue: start manage.py up.")
        if told := rental.warning(job):
            self.stderr.write(told)
        if options["wait"]:
            wait(job)
        self.show(options, as_json(job), as_line(job))
        if options["wait"] and job.status != Status.COMPLETED:
            self.stderr.write(job.reason)
            sys.exit(1)


def wait(job: Job) -> None:
    while not job.has_ended:
        time.sleep(LOOK_EVERY)
        job.refresh_from_db()
