from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from jobs.management.base import find_job
from jobs.models import Job
from jobs.queue import verbs
from jobs.queue.management.queueing import QueueCommand


class Command(QueueCommand):
    help = "Move a waiting job to another place among those of its machine and priority."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        super().add_own_arguments(parser)
        place = parser.add_mutually_exclusive_group(required=True)
        place.add_argument("--before", type=int, metavar="ID", help="directly before this job")
        place.add_argument("--after", type=int, metavar="ID", help="directly behind this job")
        for word in ("first", "last", "up", "down"):
            place.add_argument(f"--{word}", action="store_const", const=word, dest="to")

    def act(self, job: Job, by: User, options: dict[str, Any]) -> bool:
        if options["to"]:
            return verbs.move_to(job, by, options["to"])
        if options["before"] is not None:
            return verbs.move_before(job, by, find_job(options["before"]))
        return verbs.move_after(job, by, find_job(options["after"]))
