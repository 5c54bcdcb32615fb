"""What happened to jobs."""

from typing import Any, Self

from django.db import models

from jobs.events import MOVES
from jobs.models.jobs import Job
from platform_site.events import EventKind, kind_of


class EventQuerySet(models.QuerySet["Event"]):
    def of_platform(self) -> Self:
        """Those that Trainyard itself told: what a run writes is none of them, whatever it is."""
        return self.filter(source=Event.Source.PLATFORM)

    def of_run(self) -> Self:
        return self.filter(source=Event.Source.RUN)

    def moves(self) -> Self:
        """Those of a job that came into a status, in their order."""
        return self.of_platform().filter(kind__in=MOVES).order_by("at", "pk")

    def said(self, attempt: int) -> dict[str, dict[str, Any]]:
        """What a job itself told in an attempt: the data of its last event of each kind, and the
        ``message`` of that."""
        told = self.of_run().filter(attempt=attempt).values_list("kind", "message", "data")
        return {kind: {"message": message, **data} for kind, message, data in told}


class Event(models.Model):
    """What happened to a job, when, who asked, and why. Never changed, never removed."""

    class Source(models.TextChoices):
        PLATFORM = "platform", "Trainyard"
        RUN = "run", "The run"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    who = models.CharField(max_length=150, blank=True)
    message = models.TextField(blank=True)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.PLATFORM)
    data = models.JSONField(default=dict, blank=True)
    attempt = models.PositiveIntegerField(default=1)
    position = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Byte offset in the run's own events file."
    )

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ("at", "pk")
        constraints = [
            models.UniqueConstraint(
                fields=["job", "attempt", "position"], name="event_read_once"
            ),  # platform events have no position, and nulls are distinct
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%F %T}"

    @property
    def means(self) -> EventKind:
        return kind_of(self.kind, self.source)
