"""Verbs on long work. Every change of state is one conditional UPDATE: false means that somebody
else was first."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from platform_site.work import line
from platform_site.work.beating import beating
from platform_site.work.doers import IN_LINE
from platform_site.work.models import State, Work, silent

BEAT = 5.0  # seconds between two signs of life
W = TypeVar("W", bound=Work)


def ask(work: Work) -> None:
    """Have work that waits done by a process of its own, which a worker starts after the commit.

    Should the queue be away, the work falls silent, and can be asked for again.
    """
    asked = ("platform_site.work.tasks.start", work._meta.label_lower, work.pk)
    transaction.on_commit(lambda: async_task(*asked), robust=True)


def renew(work: Work, **fields: Any) -> bool:
    """Let work that ended, or whose process is gone, wait to be done; false while it goes on."""
    ended = [State.FAILED, State.CANCELLED, *([State.DONE] if work.CAN_REPEAT else [])]
    now = timezone.now()
    fresh = {
        "state": State.WAITING, "done": 0, "total": None, "error": "", "asked_at": now,
        "beat_at": now, "cancel_asked_at": None, "ended_at": None,
    }  # fmt: skip
    renewed = rows(work).filter(Q(state__in=ended) | silent()).update(**fresh | fields)
    work.refresh_from_db()
    return bool(renewed)


def claim(work: Work) -> bool:
    """Take work that waits; false when another process did, or nobody wants it any more."""
    waiting = rows(work).filter(state=State.WAITING)
    claimed = waiting.update(state=State.WORKING, beat_at=timezone.now())
    work.refresh_from_db()
    return bool(claimed)


def keep(work: Work, **fields: Any) -> bool:
    """Write progress, which is a sign of life; false when it is not this process's work any more,
    or was asked to end."""
    still = _claimed(work).filter(cancel_asked_at=None)
    return bool(still.update(**fields, beat_at=timezone.now()))


def alive(work: Work) -> AbstractContextManager[None]:
    """While the block runs, the row shows that its process lives."""
    row = _claimed(work)

    def beat() -> None:
        row.update(beat_at=timezone.now())
        if work._meta.label_lower in IN_LINE:
            line.keep_alive()

    return beating(beat, BEAT)


def end(work: W, state: State, ended: Callable[[W], object], **fields: Any) -> bool:
    """End claimed work, and call ``ended`` in the same transaction."""
    with transaction.atomic():
        if not _claimed(work).update(state=state, ended_at=timezone.now(), **fields):
            return False
        work.refresh_from_db()
        ended(work)
    return True


def cancel(work: Work) -> bool:
    """Ask work to end; what waits ends at once. False when nothing is to be ended."""
    now = timezone.now()
    open_ones = rows(work).filter(cancel_asked_at=None)
    waiting = open_ones.filter(state=State.WAITING).update(
        state=State.CANCELLED, cancel_asked_at=now, ended_at=now
    )
    return bool(waiting or open_ones.filter(state=State.WORKING).update(cancel_asked_at=now))


def rows(work: Work) -> Any:
    return type(work)._default_manager.filter(pk=work.pk)


def _claimed(work: Work) -> Any:
    """The row, for as long as nobody asked for the work again since this process claimed it."""
    return rows(work).filter(state=State.WORKING, asked_at=work.asked_at)
