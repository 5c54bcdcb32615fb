"""A job between its claim and its start, which may take long: it must stay the one that starts."""

from contextlib import AbstractContextManager
from typing import Any

from django.db.models import F
from django.utils import timezone

from jobs.models import Job, Status
from platform_site.work.beating import beating as sign_of_life

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


def beating(job: Job) -> AbstractContextManager[None]:
    """While the block runs, the job's start moves along, so that nobody takes it for a dead one."""
    row = Job.objects.filter(pk=job.pk, attempt=job.attempt, status=Status.STARTING)
    return sign_of_life(lambda: row.update(started_at=timezone.now()), BEAT)
