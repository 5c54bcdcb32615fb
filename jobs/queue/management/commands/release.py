from typing import Any

from django.contrib.auth.models import User

from jobs.models import Job
from jobs.queue import verbs
from jobs.queue.management.queueing import QueueCommand


class Command(QueueCommand):
    help = "Let a held job start when it fits."

    def act(self, job: Job, by: User, options: dict[str, Any]) -> bool:
        return verbs.release(job, by)
