"""What a page and its websocket both show."""

from collections import Counter
from typing import Any

from compute.machines.load import load_of
from compute.models import Machine
from jobs import events as kinds
from jobs.checkpoints import known_of
from jobs.models import ACTIVE, ENDED, Job, JobQuerySet, Status
from jobs.queue.claims import leased_devices
from jobs.queue.state import reason_of
from monitoring.mirror import left_out
from monitoring.models import SystemSample
from monitoring.page.figures import series_groups
from monitoring.store import points

RECENT = 10


def queued(jobs: JobQuerySet) -> list[Job]:
    """Those of the jobs that wait, each with its place in line, in two queries for all."""
    places, lengths = {}, Counter[int]()
    for pk, machine in Job.objects.queued().values_list("pk", "machine"):
        lengths[machine] += 1
        places[pk] = lengths[machine]
    waiting = list(jobs.queued())
    for job in waiting:
        job.queue_position = places.get(job.pk)
    return waiting


def board(user: Any) -> dict[str, Any]:
    jobs = Job.objects.visible_to(user).select_related("machine", "owner", "after")
    recent = jobs.filter(status__in=(Status.PAUSED, *ENDED)).order_by("-ended_at")
    return {
        "running": list(jobs.filter(status__in=ACTIVE).order_by("started_at")),
        "queued": queued(jobs),
        "recent": list(recent[:RECENT]),
        "machines": [load_of(machine) for machine in Machine.objects.ready()],
        "has_jobs": jobs.exists(),
    }


def page_context(job: Job) -> dict[str, Any]:
    """All parts of a job's page that change while it is open, and the cursors of what they show."""
    number, sample = points.position([job])[job.pk], job.system_samples.order_by("-pk").first()
    events, groups = list(job.events.all()), series_groups(job)
    return {
        **state_context(job),
        **system_context(job, sample),
        "number": number,
        "series_groups": groups,
        "is_wide": any(not group.series for group in groups),
        "events": events,
        "event": max((event.pk for event in events), default=0),
    }


def state_context(job: Job) -> dict[str, Any]:
    """What is said of a job apart from its figures and events."""
    silent = job.events.filter(kind=kinds.SILENT).last() if job.silent_since else None
    return {
        "job": job,
        "revision": job.revision,
        "waits": reason_of(job),
        "left_out": left_out(job),
        "devices": leased_devices(job),
        "silent_why": silent.message if silent else "",
        **checkpoints_context(job),
    }


def system_context(job: Job, sample: SystemSample | None) -> dict[str, Any]:
    shown = {"at": sample.at, **sample.data} if sample else None
    return {"job": job, "system": shown, "sample": sample.pk if sample else 0}


def checkpoints_context(job: Job) -> dict[str, Any]:
    """The checkpoints of a job, each with what was brought here of it."""
    fetches = {} if job.machine.is_local else {fetch.step: fetch for fetch in job.fetches.all()}
    rows = [{"saved": saved, "fetch": fetches.get(saved.step)} for saved in known_of(job)]
    is_coming = any(fetch.is_busy for fetch in fetches.values())
    return {"job": job, "checkpoints": rows, "is_coming": is_coming}
