"""What is handed to the workers."""

from django.db import transaction
from django_q.tasks import async_task


def kick(machine_id: int) -> None:
    """Ask a worker to start what can start."""
    later("jobs.tasks.launch_queued", machine_id)


def later(task: str, pk: int) -> None:
    """Hand a task to the workers after the commit. Should the queue be away, what was asked for
    stands in the database all the same, and the watcher asks again."""
    transaction.on_commit(lambda: async_task(task, pk), robust=True)
