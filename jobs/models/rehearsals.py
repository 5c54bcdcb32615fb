"""Which job was tried before it costs, and by which job: its rehearsal, or its dry-fire."""

from typing import Self

from django.db import models

from jobs.models.jobs import Job


class RehearsalQuerySet(models.QuerySet["Rehearsal"]):
    def gates(self) -> Self:
        """Those that have yet to pass before their job starts. It starts anew without them."""
        return self.filter(must_pass=True, passed_at=None, job__attempt=1)


class Rehearsal(models.Model):
    """``run`` tries ``job``. Where it must pass, the job waits for it in its line."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="rehearsals")
    run = models.OneToOneField(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="rehearses",
        help_text="The job that tries it; empty once that is deleted.",
    )  # fmt: skip
    must_pass = models.BooleanField(
        default=False, help_text="The job starts only when this has passed."
    )
    passed_at = models.DateTimeField(
        null=True, blank=True, help_text="Kept when the job that tried it is deleted."
    )

    objects = RehearsalQuerySet.as_manager()

    class Meta:
        ordering = ("job", "-pk")

    def __str__(self) -> str:
        return f"Rehearsal of {self.job}"
