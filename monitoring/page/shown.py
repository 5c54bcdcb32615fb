"""What a page and its websocket both show."""

from collections import Counter
from typing import Any

from compute.machines.load import load_of
from compute.models import Machine
from jobs import events as kinds
from jobs.accuracy.shown import outcome_of
from jobs.artifacts.refusals import newest_whole
from jobs.models import ACTIVE, ENDED, Job, JobQuerySet, Status
from jobs.queue.claims import leased_devices
from jobs.queue.state import reason_of
from jobs.run.stopping import question_of
from monitoring.mirror import left_out
from monitoring.models import Cursor
from monitoring.page import panels, startup
from monitoring.page.glance import glance
from monitoring.store import points

RECENT = 10
MOST = 50  # of each list; the list of jobs has all


def queued(jobs: JobQuerySet) -> list[Job]:
    """Those of the jobs that wait, each with its place in line, in two queries for all."""
    places, lengths = {}, Counter[int]()
    for pk, machine in Job.objects.queued().values_list("pk", "machine"):
        lengths[machine] += 1
        places[pk] = lengths[machine]
    waiting = list(jobs.queued()[:MOST])
    for job in waiting:
        job.queue_position = places.get(job.pk)
    return waiting


def board(user: Any) -> dict[str, Any]:
    jobs = Job.objects.visible_to(user).select_related("machine", "owner", "after")
    recent = jobs.shown().filter(status__in=(Status.PAUSED, *ENDED)).order_by("-ended_at")
    return {
        "running": list(jobs.filter(status__in=ACTIVE).order_by("started_at")[:MOST]),
        "queued": queued(jobs),
        "counts": {
            "running": jobs.filter(status__in=ACTIVE).count(),
            "queued": jobs.filter(status=Status.QUEUED).count(),
        },
        "recent": list(recent[:RECENT]),
        "machines": [load_of(machine) for machine in Machine.objects.ready()],
        "has_jobs": jobs.exists(),
    }


def page_context(job: Job, viewer: Any) -> dict[str, Any]:
    """All parts of a job's page that change while it is open, and the cursors of what they show."""
    number = points.position([job])[job.pk]  # first: what comes later is then sent as news
    return {
        **header_context(job),
        "number": number,
        "has_answers": job.job_kind.writes_answers,
        **panels.context_of(job, viewer),
        **outcome_of(job),
    }


def broken_lines(job: Job) -> list[str]:
    """A sentence for each file of the attempt of which lines were left out."""
    cursors = Cursor.objects.filter(job=job, attempt=job.attempt, broken__gt=0)
    return [
        f"Left out: {cursor.broken} line{'s'[: cursor.broken > 1]} of {cursor.file} that cannot be "
        f"read. The first begins at byte {cursor.first_broken}."
        for cursor in cursors.order_by("file")
    ]


def header_context(job: Job) -> dict[str, Any]:
    """What the top of a job's page says."""
    silent = job.events.of_platform().filter(kind=kinds.SILENT).last() if job.silent_since else None
    return {
        "job": job,
        **glance(job),
        **startup.header(job),
        "stopping": question_of(job),
        "goes_on": job.can_resume and newest_whole(job) is not None,
        "revision": job.revision,
        "waits": reason_of(job),
        "left_out": left_out(job),
        "broken": broken_lines(job),
        "devices": leased_devices(job),
        "trials": trials_of(job),
        "silent_why": silent.message if silent else "",
        "own_error": own_error_of(job),
        "lost": last_of(job, kinds.RUN_ANSWERS_LOST, kinds.RUN_VALIDATION_LOST),
        "cut": last_of(job, kinds.RUN_ANSWERS_CUT, kinds.RUN_ROWS_CUT),
    }


def trials_of(job: Job) -> list[Job]:
    """The newest that tried the job, of each sort: a rehearsal, a dry-fire."""
    newest: dict[str, Job] = {}
    for trial in job.rehearsals.filter(run__isnull=False).select_related("run")[:MOST]:
        if trial.run:
            newest.setdefault(trial.run.kind, trial.run)
    return [*newest.values()]


def last_of(job: Job, *wanted: str) -> str:
    """What the attempt last said by an event of these kinds; empty where it said nothing."""
    told = job.events.filter(kind__in=wanted, attempt=job.attempt).last()
    return told.message if told else ""


def own_error_of(job: Job) -> int | None:
    """The byte of the log where the user's code broke the attempt that the page shows."""
    if job.status != Status.FAILED:
        return None
    told = job.events.filter(kind=kinds.OWN_ERROR, attempt=job.attempt).last()
    return int(told.data["line"]) if told else None
