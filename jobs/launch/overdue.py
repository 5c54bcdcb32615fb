"""Asking again for a start or a stop that should have happened by now."""

import time
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django_q.tasks import queue_size

from compute.models import Machine
from jobs import listeners
from jobs.models import Job
from jobs.queue import claims
from jobs.work import kick, later

STUCK_QUEUE = timedelta(seconds=5)
STUCK_STOP = timedelta(seconds=30)  # beyond the grace period, and between two that ask again
UNTOLD = 30.0  # seconds between two that tell again what a job's end was

_asked: dict[int, float] = {}  # when each was asked again, by this process's clock
_told: dict[int, float] = {}  # when each end was told again


def kick_stuck() -> None:
    """Ask again for what should have happened by now: a worker may have died on the way."""
    if queue_size():
        return  # the workers have not come to it yet
    waiting = Job.objects.queued().filter(queued_at__lt=timezone.now() - STUCK_QUEUE)
    for machine in Machine.objects.filter(pk__in=waiting.order_by().values("machine")):
        if claims.could_start(machine):
            kick(machine.pk)
    overdue = timezone.now() - STUCK_STOP - timedelta(seconds=settings.TRAINYARD_STOP_GRACE)
    reached = Job.objects.active().filter(machine__unreachable_since=None)
    stuck = set(reached.filter(stop_asked_at__lt=overdue).values_list("pk", flat=True))
    now = time.monotonic()
    for pk in stuck:
        if now >= _asked.get(pk, 0.0) + STUCK_STOP.total_seconds():
            _asked[pk] = now
            later("jobs.tasks.stop_run", pk)
    for pk in _asked.keys() - stuck:
        del _asked[pk]
    _tell_again()


def _tell_again() -> None:
    """Tell the listeners what they did not hear."""
    untold, now = listeners.overdue(), time.monotonic()
    for pk in untold:
        if now >= _told.get(pk, now - UNTOLD) + UNTOLD:
            _told[pk] = now
            later("jobs.tasks.tell_completed", pk)
    for pk in _told.keys() - untold:
        del _told[pk]
