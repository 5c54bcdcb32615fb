from collections.abc import Collection

from evaluations.automatic import services
from evaluations.models import Rule
from jobs.listeners import Listener
from jobs.models import Job


class Evaluator(Listener):
    """Evaluates what a run saves, where somebody asked for that."""

    def wants_completed(self, job: Job) -> bool:
        return self.wants_saved(job)

    def completed(self, job: Job) -> None:
        self.saved(job)

    def overdue(self) -> Collection[int]:
        return services.overdue()

    def wants_saved(self, job: Job) -> bool:
        return Rule.objects.on().filter(run=job.pk).exists()

    def saved(self, job: Job) -> None:
        for rule in Rule.objects.on().filter(run=job.pk).order_by("pk"):
            services.fulfil(rule)
