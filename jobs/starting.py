"""A job between its claim and its start, which may take long: it must stay the one that starts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import F
from django.utils import timezone

from jobs.models import Job, Status

BEAT = 20.0  # seconds; one that is silent for two minutes is taken for dead


class Overtaken(Exception):
    """Meanwhile the job was stopped, given up, or is another attempt: it must not be started."""


def still_starting(job: Job, **fields: Any) -> None:
    """Change a job that is being started. Raises ``Overtaken`` when it is no longer."""
    row = Job.objects.filter(
        pk=job.pk, attempt=job.attempt, status=Status.STARTING, stop_asked_at=None
    )
    if not row.update(started_at=timezone.now(), revision=F("revision") + 1, **fields):
        raise Overtaken
    job.refresh_from_db()


@contextmanager
def beating(job: Job) -> Iterator[None]:
    """While the block runs, the job's start moves along, so that nobody takes it for a dead one."""
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(job.pk, job.attempt, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(pk: int, attempt: int, ended: threading.Event) -> None:
    try:
        while not ended.wait(BEAT):
            row = Job.objects.filter(pk=pk, attempt=attempt, status=Status.STARTING)
            row.update(started_at=timezone.now())
    finally:
        connection.close()
