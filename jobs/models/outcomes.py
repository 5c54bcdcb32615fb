"""What runs needed, beside what was estimated before."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F, QuerySet
from django.db.models.functions import Cast

from jobs.models.jobs import Job

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class OutcomeQuerySet(QuerySet["Outcome"]):
    def visible_to(self, user: "AbstractBaseUser | AnonymousUser") -> Self:
        return self.filter(job__in=Job.objects.visible_to(user))

    def with_errors(self) -> Self:
        """With ``peak_error`` and ``time_error``: how far the estimate was above what was measured,
        as a share of that; None where nothing was measured."""
        peak = Cast("estimated_peak", models.FloatField()) / F("measured_peak") - 1.0
        time = F("estimated_seconds") / F("measured_seconds") - 1.0
        number = models.FloatField()
        return self.annotate(
            peak_error=models.ExpressionWrapper(peak, number),
            time_error=models.ExpressionWrapper(time, number),
        )


class Outcome(models.Model):
    """One finished run on GPUs: what its estimate said when it ended, and what it measured.

    Peaks are bytes of the training process's allocator on one GPU, times seconds of a step.
    """

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="outcome")
    at = models.DateTimeField(auto_now=True)
    gpu = models.CharField(max_length=60, db_index=True, help_text="The card's slug.")
    gpus = models.PositiveIntegerField()
    family = models.CharField(max_length=100, help_text="The model's type.")
    algorithm = models.CharField(max_length=30)
    learned_from = models.PositiveIntegerField(
        default=0, help_text="Finished runs that had corrected the estimate."
    )
    question = models.JSONField(help_text="What was asked, with the lengths that were measured.")

    estimated_peak = models.BigIntegerField()
    measured_peak = models.BigIntegerField(null=True, blank=True)
    estimated_peaks = models.JSONField(default=dict, help_text="By phase.")
    estimated_seconds = models.FloatField()
    measured_seconds = models.FloatField(null=True, blank=True)
    estimated_phases = models.JSONField(default=dict, help_text="Seconds by phase.")
    measured_phases = models.JSONField(default=dict, help_text="Seconds by phase.")

    objects = OutcomeQuerySet.as_manager()

    class Meta:
        ordering = ("-at", "-pk")
        indexes = [models.Index(fields=["gpu", "family"], name="outcome_of_card_and_family")]

    def __str__(self) -> str:
        return f"What job {self.job_id} needed"
