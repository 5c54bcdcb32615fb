"""What the commands that submit a job do after it: warn, wait, and show what became of it."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from compute.machines.load import load_of
from compute.machines.local import local_machine
from jobs.management.base import as_json, as_line
from jobs.models import Job, Status
from jobs.queue import rental
from platform_site.commands import JsonCommand
from platform_site.home import is_up

LOOK_EVERY = 0.5


def add_wait_option(parser: ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help="wait until the job is over")


def show_submitted(command: JsonCommand, options: dict[str, Any], job: Job, **more: Any) -> None:
    """``more`` goes into the JSON. Exits with 1 when it was waited for and did not complete."""
    if not is_up(settings.TRAINYARD_HOME) and load_of(local_machine())["sample"] is None:
        command.stderr.write("Queued, but nothing runs the queue: start manage.py up.")
    if told := rental.warning(job):
        command.stderr.write(told)
    if options["wait"]:
        wait(job)
    command.show(options, as_json(job) | more, as_line(job))
    if options["wait"] and job.status != Status.COMPLETED:
        command.stderr.write(job.reason)
        sys.exit(1)


def wait(job: Job) -> None:
    """Until the job is over: one that goes on by itself after a crash is not."""
    while not job.is_over:
        time.sleep(LOOK_EVERY)
        job.refresh_from_db()
