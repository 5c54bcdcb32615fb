"""Keeps what an evaluation found, once its job has completed."""

from collections.abc import Callable, Collection

from django.utils import timezone

from evaluations.kinds.evaluate import Evaluate
from evaluations.results.keeping import keep
from jobs.listeners import Listener
from jobs.models import Job, Status

AT_ONCE = 20
AFTER: list[Callable[[Job], None]] = []  # what is done once it is kept, told by rooms above


class Keeper(Listener):
    def wants_completed(self, job: Job) -> bool:
        return job.kind == Evaluate.slug

    def completed(self, job: Job) -> None:
        keep(job)
        for act in AFTER:
            act(job)

    def overdue(self) -> Collection[int]:
        """The newest evaluations of which nothing is kept, where their machines answer."""
        done = Job.objects.filter(kind=Evaluate.slug, status=Status.COMPLETED, evaluation=None)
        reached = done.filter(machine__unreachable_since=None, ended_at__lt=timezone.now())
        return list(reached.order_by("-pk").values_list("pk", flat=True)[:AT_ONCE])

    def wants_saved(self, job: Job) -> bool:
        return False

    def saved(self, job: Job) -> None:
        """Nothing that is kept here depends on checkpoints."""
