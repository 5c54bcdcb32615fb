from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from jobs.models import Job
from jobs.queue import verbs
from jobs.queue.forms import HoldForm
from jobs.queue.management.queueing import QueueCommand, read


class Command(QueueCommand):
    help = "Let a waiting job wait on until it is released."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        super().add_own_arguments(parser)
        parser.add_argument("--why", default="", help="shown in the queue and kept as an event")

    def act(self, job: Job, by: User, options: dict[str, Any]) -> bool:
        return verbs.hold(job, by, read(HoldForm({"why": options["why"]}))["why"])
