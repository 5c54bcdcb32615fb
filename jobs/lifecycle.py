"""The allowed moves of a job. Each is one conditional UPDATE: false means someone was first."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from compute.machines.groups import sharing
from jobs import events
from jobs.models import ACTIVE, ENDED, Event, Job, Lease, Rehearsal, Status
from jobs.work import kick

MOVES: Mapping[Status, frozenset[Status]] = {
    Status.DRAFT: frozenset({Status.QUEUED}),
    Status.QUEUED: frozenset({Status.STARTING, Status.STOPPED, Status.FAILED}),
    # A run may be over before anyone saw it run.
    # Back into the queue when its machine could not be reached to start it.
    Status.STARTING: frozenset({Status.RUNNING, Status.QUEUED, Status.PAUSED, *ENDED}),
    Status.RUNNING: frozenset({Status.PAUSED, *ENDED}),
    # What goes on, goes on in a new attempt: see jobs.resuming.
    Status.PAUSED: frozenset({Status.QUEUED, Status.STOPPED}),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.STOPPED: frozenset({Status.QUEUED}),
    Status.LOST: frozenset({Status.QUEUED}),
}


def move(
    job: Job,
    to: Status,
    *,
    only_from: Collection[Status] = (),
    who: str = "",
    reason: str = "",
    **fields: Any,
) -> bool:
    """Move the job and record the event in one transaction; ``job`` is then as in the database."""
    sources = [status for status, targets in MOVES.items() if to in targets]
    if only_from:
        sources = [status for status in sources if status in only_from]
    with transaction.atomic():
        # Whoever saw an earlier attempt must not move a later one.
        row = Job.objects.filter(pk=job.pk, attempt=job.attempt, status__in=sources)
        if to == Status.QUEUED:
            row = row.filter(deleting_at=None)
        moved = row.update(status=to, reason=reason, revision=F("revision") + 1, **fields)
        job.refresh_from_db()
        if moved:
            record(job, to.value, who=who, message=reason)
            if to == Status.COMPLETED:
                Rehearsal.objects.filter(run=job).update(passed_at=timezone.now())
            if to not in ACTIVE:
                _make_room(job)
    return bool(moved)


def _make_room(job: Job) -> None:
    """End the job's leases, and look at the queues of jobs that may wait for them or for it."""
    Lease.objects.filter(job=job).delete()
    waiting = Job.objects.waiting_for(job).order_by()
    freed = sharing(job.machine_id)  # its members too, and groups that any of them is in
    for machine_id in freed | set(waiting.values_list("machine", flat=True)):
        kick(machine_id)


def cancel_retry(job: Job, *, who: str = "", why: str = "") -> bool:
    """Let a crash be the end, where the job would have gone on by itself."""
    with transaction.atomic():
        ended = Job.objects.filter(pk=job.pk, status__in=ENDED, retry_at__isnull=False)
        done = ended.update(retry_at=None, revision=F("revision") + 1)
        if done:
            record(job, events.RETRY_CANCELLED, who=who, message=why)
            for waiting in Job.objects.waiting_for(job):
                kick(waiting.machine_id)
    job.refresh_from_db()
    return bool(done)


def record(job: Job, kind: str, *, who: str = "", message: str = "", **data: Any) -> None:
    """Write an event of the platform's own."""
    Event.objects.create(
        job=job,
        at=timezone.now(),
        kind=kind,
        who=who,
        message=message,
        data=data,
        attempt=job.attempt,
    )


def record_once(job: Job, kind: str, message: str, *, since: datetime | None) -> None:
    """Write an event unless there is one of the kind since then."""
    if since is None or not job.events.of_platform().filter(kind=kind, at__gte=since).exists():
        record(job, kind, message=message)


def touch(job: Job, **fields: Any) -> None:
    """Change a job without moving it, so that open pages see the change."""
    Job.objects.filter(pk=job.pk).update(revision=F("revision") + 1, **fields)
    job.refresh_from_db()
