"""Whether a machine answers: since when it does not, why, and how often it changed."""

import logging
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from compute import events
from compute.machines import history
from compute.models import Machine
from compute.runners.base import HostKeyRefused, Unreachable

log = logging.getLogger(__name__)
SEEN_EVERY = timedelta(seconds=10)  # a machine that answers all the time is not written each time


def mark_reachable(machine: Machine) -> None:
    """The machine answered just now."""
    now = timezone.now()
    if _came_back(machine, now):
        log.info("%s answers again", machine)
        return
    old = Q(seen_at=None) | Q(seen_at__lt=now - SEEN_EVERY)
    Machine.objects.filter(old, pk=machine.pk).update(seen_at=now)


def _came_back(machine: Machine, now: datetime) -> bool:
    gone = Machine.objects.filter(pk=machine.pk, unreachable_since__isnull=False)
    since = gone.values_list("unreachable_since", flat=True).first()
    if since is None:
        return False
    with transaction.atomic():
        back = gone.update(unreachable_since=None, unreachable_reason="", seen_at=now)
        if back:
            words = f"It answers again. It did not for {(now - since).total_seconds():.0f} s."
            history.record_turn(machine, events.BACK, words)
    return bool(back)


def mark_unreachable(machine: Machine, error: Unreachable) -> None:
    """The machine does not answer: since when, first of all, and why now."""
    since = datetime.fromtimestamp(error.since, UTC) if error.since else timezone.now()
    found = Machine.objects.filter(pk=machine.pk)
    with transaction.atomic():
        new = found.filter(unreachable_since=None)
        went = new.update(unreachable_since=since, unreachable_reason=str(error))
        if went:
            history.record_turn(machine, _kind_of(error), str(error))
    if went:
        log.warning("%s: %s", machine, error)
        return
    known = found.values_list("unreachable_reason", flat=True).first()
    # While a connection waits before a new try, it repeats its last error with one more sentence.
    # That is not written each time.
    same = known is not None and str(error).startswith(known)
    if known is not None and (not same or (error.waits_for_user and str(error) != known)):
        found.update(unreachable_reason=str(error))
        if _kind_of(error) == events.KEY_REFUSED:
            history.record_once(machine, events.KEY_REFUSED, str(error))


def _kind_of(error: Unreachable) -> str:
    """The kind of event: another host key is told apart from no answer."""
    is_key = isinstance(error, HostKeyRefused)
    return events.KEY_REFUSED if is_key else events.UNREACHABLE
