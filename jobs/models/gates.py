"""What must be true of an evaluation before a job starts."""

from typing import Self

from django.db import models

from jobs.models.jobs import Job


class GateQuerySet(models.QuerySet["Gate"]):
    def shut(self) -> Self:
        """Those that have yet to let their job start. It starts anew without them."""
        return self.filter(passed_at=None, job__attempt=1)


class Gate(models.Model):
    """``job`` waits in its line until what the job ``on`` found is good enough. ``asks`` is the
    affair of the app that judges; ``words`` say it. ``failure`` says why the job never starts."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="gate")
    on = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="gate_of",
        help_text="The evaluation; empty once that is deleted.",
    )  # fmt: skip
    other = models.ForeignKey(
        Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="The evaluation with which it is compared.",
    )  # fmt: skip
    asks = models.JSONField(default=dict)
    words = models.CharField(max_length=500)
    passed_at = models.DateTimeField(null=True, blank=True)
    said = models.TextField(blank=True, help_text="What was found.")
    failure = models.TextField(blank=True)

    objects = GateQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"Gate of {self.job}"
