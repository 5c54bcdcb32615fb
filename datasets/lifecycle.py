"""Allowed state changes of long work. Each change is one conditional UPDATE."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from datasets.models import BUSY, Report, Source, State, Version, Work

KINDS: dict[str, type[Work]] = {"source": Source, "version": Version, "report": Report}
SILENT = timedelta(seconds=30)  # a live worker reports every second
BEAT_EVERY = 1.0


class Cancelled(Exception):
    """Somebody cancelled the work, or took it away from this process."""


def kind_of(work: Work) -> str:
    return next(name for name, model in KINDS.items() if isinstance(work, model))


def rows(work: Work) -> Any:
    return type(work)._default_manager.filter(pk=work.pk)


def claim(work: Work) -> bool:
    """Take waiting work; false when another process took it first."""
    now = timezone.now()
    return bool(rows(work).filter(state=State.WAITING).update(state=State.WORKING, beat_at=now))


def again(work: Work) -> bool:
    """Return work that failed, was cancelled or fell silent to the waiting state."""
    over = Q(state__in=(State.FAILED, State.CANCELLED)) | silent()
    fields = {"state": State.WAITING, "done": 0, "error": "", "cancel_asked": False}
    return bool(rows(work).filter(over).update(**fields, beat_at=timezone.now(), ended_at=None))


def silent() -> Q:
    """Work that is waiting or running but has not reported for ``SILENT``."""
    return Q(state__in=BUSY, beat_at__lt=timezone.now() - SILENT)


def end(work: Work, state: State, **fields: Any) -> bool:
    ended = rows(work).filter(state__in=BUSY).update(state=state, ended_at=timezone.now(), **fields)
    work.refresh_from_db()
    return bool(ended)


def progress_of(work: Work, clock: Callable[[], float] = time.monotonic) -> Callable[..., None]:
    """A callback for the engine, called with (done, total).

    It saves once a second, and raises ``Cancelled`` when the work was cancelled or taken away.
    """
    last = clock()

    def beat(done: int, total: int | None = None) -> None:
        nonlocal last
        if clock() - last < BEAT_EVERY:
            return
        last = clock()
        working = rows(work).filter(state=State.WORKING, cancel_asked=False)
        if not working.update(done=done, total=total, beat_at=timezone.now()):
            raise Cancelled

    return beat
