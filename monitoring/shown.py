"""What a page and its websocket both show."""

from typing import Any

from compute.models import Machine
from compute.services import load_of
from jobs.models import ENDED, HOLDS_SLOT, Job
from monitoring import live

RECENT = 10


def board(user: Any) -> dict[str, Any]:
    jobs = Job.objects.visible_to(user).select_related("machine", "owner", "after")
    return {
        "running": list(jobs.filter(status__in=HOLDS_SLOT).order_by("started_at")),
        "queued": list(jobs.queued()),
        "recent": list(jobs.filter(status__in=ENDED).order_by("-ended_at")[:RECENT]),
        "machines": [load_of(machine) for machine in Machine.objects.all()],
        "has_jobs": jobs.exists(),
    }


def live_context(job: Job) -> dict[str, Any]:
    """The parts of a job's page that change while it is open."""
    sample = job.system_samples.last()
    return {
        "job": job,
        "revision": job.revision,
        "series_groups": live.series_groups(job),
        "events": list(job.events.all()),
        "checkpoints": live.checkpoints_of(job),
        "system": {"at": sample.at, **sample.data} if sample else None,
    }
