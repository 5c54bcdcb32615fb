"""What each attempt was started with, and what it told of that."""

from django.db import models

from jobs.models.jobs import Job


class Provenance(models.Model):
    """One part of what an attempt was made of, as it was at its start."""

    class Part(models.TextChoices):
        PLATFORM = "platform", "Trainyard and the recipe"  # the others are told by the run
        SOFTWARE = "software", "Python and packages"
        HARDWARE = "hardware", "Hardware"
        CONFIG = "config", "Configuration"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="provenance")
    attempt = models.PositiveIntegerField()
    part = models.CharField(max_length=10, choices=Part.choices)
    at = models.DateTimeField()
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ("job", "attempt", "pk")
        verbose_name_plural = "provenance"
        constraints = [
            models.UniqueConstraint(fields=["job", "attempt", "part"], name="part_told_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_part_display()} of attempt {self.attempt} of job {self.job_id}"
