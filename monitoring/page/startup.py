"""The start of a run: its phases as it told them, beside those of the last such run."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from jobs import events as kinds
from jobs.models import Event, Job, Status
from jobs.verl.startup import Phase
from monitoring.timing.startup import Startup, startup, took

PHASE = kinds.RUN_PHASE
BEFORE = 20  # runs before that are looked at


def startup_of(job: Job) -> Startup | None:
    """How far the job's attempt is, or how long its start took; None for what tells no phases."""
    phases = job.job_kind.phases(job.spec_of_kind)
    if not phases or job.started_at is None:
        return None
    told = _told(job.events.of_run().filter(kind=PHASE, attempt=job.attempt))
    goes_on = job.status == Status.RUNNING
    if not told and (not goes_on or job.step > (job.resume_step or 0)):
        return None  # it told nothing, and its start is over
    last = _last_time(job, phases)
    return startup(phases, job.started_at.timestamp(), told, last, goes_on=goes_on)


def header(job: Job) -> dict[str, Any]:
    """For the top of its page: only while it starts."""
    found = startup_of(job) if job.status == Status.RUNNING else None
    if found is None or found.is_over:
        return {"startup": None}
    since = next((line.since for line in found.lines if line.since is not None), None)
    begun = datetime.fromtimestamp(since, UTC) if since is not None else None
    waited = timezone.now() - begun if begun else None
    return {"startup": found, "startup_since": begun, "startup_for": waited}


def _told(events: Any) -> dict[str, float]:
    return {str(event.data.get("phase")): event.at.timestamp() for event in events}


def _last_time(job: Job, phases: Sequence[Phase]) -> Mapping[str, float]:
    """The seconds of the phases in the newest other run of this kind on this machine, of those
    that the job's owner may see."""
    seen = Job.objects.visible_to(job.owner)
    jobs = seen.filter(kind=job.kind, machine=job.machine, started_at__isnull=False)
    near = jobs.exclude(pk=job.pk).order_by("-started_at")[:BEFORE]
    begun = {each.pk: each for each in near}
    events = Event.objects.of_run().filter(job__in=begun, kind=PHASE)
    told: dict[int, dict[str, float]] = {}
    for event in events:
        each = begun[event.job_id]
        if event.attempt == each.attempt:
            told.setdefault(each.pk, {})[str(event.data.get("phase"))] = event.at.timestamp()
    for pk, each in begun.items():
        if phases[-1].name in told.get(pk, {}) and each.started_at:
            return took(phases, each.started_at.timestamp(), told[pk])
    return {}
