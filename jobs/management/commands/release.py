from typing import Any

from django.contrib.auth.models import User

from jobs import queue
from jobs.management.queueing import QueueCommand
from jobs.models import Job


class Command(QueueCommand):
    help = "Let a held job start when it fits."

    def act(self, job: Job, by: User, options: dict[str, Any]) -> bool:
        return queue.release(job, by)
