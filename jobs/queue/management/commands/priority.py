from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from jobs.models import Job, Priority
from jobs.queue import verbs
from jobs.queue.management.queueing import QueueCommand


class Command(QueueCommand):
    help = "Give a waiting job another priority: it waits behind every job of a higher one."

    def add_own_arguments(self, parser: ArgumentParser) -> None:
        super().add_own_arguments(parser)
        parser.add_argument("priority", choices=[each.name.lower() for each in Priority])

    def act(self, job: Job, by: User, options: dict[str, Any]) -> bool:
        return verbs.set_priority(job, by, Priority[options["priority"].upper()])
