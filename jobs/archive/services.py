"""Putting jobs away that are over: they leave the lists, and keep all that they have."""

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from jobs import events, lifecycle
from jobs.models import Job


def archive(job: Job, *, who: str) -> bool:
    """Take a job out of the lists; false when it is underway, or was put away before."""
    with transaction.atomic():
        resting = Job.objects.filter(pk=job.pk).exclude(pk__in=Job.objects.underway())
        now = {"archived_at": timezone.now(), "revision": F("revision") + 1}
        done = resting.filter(archived_at=None, deleting_at=None).update(**now)
        job.refresh_from_db()
        if done:
            lifecycle.record(job, events.ARCHIVED, who=who)
    return bool(done)


def unarchive(job: Job, *, who: str) -> bool:
    """Show a job in the lists again; false when it is shown."""
    with transaction.atomic():
        away = Job.objects.filter(pk=job.pk, archived_at__isnull=False)
        done = away.update(archived_at=None, revision=F("revision") + 1)
        job.refresh_from_db()
        if done:
            lifecycle.record(job, events.UNARCHIVED, who=who)
    return bool(done)


def why_not_archived(job: Job) -> str:
    if job.is_underway:
        return f"Job {job.pk} is {underway(job)}: stop it first."
    if job.deleting_at:
        return f"Job {job.pk} is being deleted."
    return f"Job {job.pk} is in the archive already."


def underway(job: Job) -> str:
    """How a job that is underway stands, in words."""
    return f"{job.stands} and about to be tried again" if job.retry_at else job.stands
