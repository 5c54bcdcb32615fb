"""Long work that a process of its own does: what every kind of it keeps in its row."""

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class State(models.TextChoices):
    WAITING = "waiting", "Waiting"
    WORKING = "working", "Working"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


BUSY = (State.WAITING, State.WORKING)
# A process that works says so every few seconds, also while the work itself reports nothing. Before
# it starts, the two workers may be busy with other tasks for some minutes.
SILENT_AFTER = {State.WORKING: timedelta(minutes=1), State.WAITING: timedelta(minutes=5)}


class Work(models.Model):
    """A piece of long work: where it stands, how much is done, and its last sign of life."""

    # Whether work that is done may be asked for again in the same row.
    CAN_REPEAT: ClassVar[bool] = False

    state = models.CharField(
        max_length=10, choices=State.choices, default=State.WAITING, db_index=True
    )
    done = models.PositiveBigIntegerField(default=0, help_text="Bytes or rows, as the work counts.")
    total = models.PositiveBigIntegerField(null=True, blank=True)
    error = models.TextField(blank=True)
    who = models.CharField(max_length=150, blank=True, help_text="The user that asked for it.")
    asked_at = models.DateTimeField(default=timezone.now)
    beat_at = models.DateTimeField(default=timezone.now, help_text="The last sign of life.")
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def is_silent(self) -> bool:
        """Whether the process that should do it is gone; it can then be asked for again."""
        longest = SILENT_AFTER.get(State(self.state))
        return longest is not None and timezone.now() - self.beat_at > longest

    @property
    def is_busy(self) -> bool:
        return self.state in BUSY and not self.is_silent

    @property
    def is_done(self) -> bool:
        return self.state == State.DONE

    @property
    def percent(self) -> float | None:
        return min(100.0, 100 * self.done / self.total) if self.total else None


def silent() -> Q:
    """Rows for which ``is_silent`` holds."""
    now = timezone.now()
    found = Q()
    for state, longest in SILENT_AFTER.items():
        found |= Q(state=state, beat_at__lt=now - longest)
    return found
