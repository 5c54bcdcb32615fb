"""Why a job is not deleted, and what is lost with it, in sentences."""

from collections.abc import Iterator

from django.db.models import Q

from jobs.archive.belongings import reader_words, readings_of
from jobs.archive.services import underway
from jobs.artifacts.refusals import newest_whole
from jobs.models import CAN_RESUME, Artifact, Fetch, Gate, Job, JobInput, Rehearsal, Removal, Status
from jobs.needs import needs_of
from platform_site.work.models import BUSY, silent


def why_not(job: Job) -> list[str]:
    """All that stands in the way; none when it may be deleted."""
    return [*_own_state(job), *_pins(job), *_needed(job), *_busy(job)]


def warnings(job: Job) -> list[str]:
    """What somebody should read who still wants it deleted."""
    soft = [need.said for need in needs_of([job.pk]).get(job.pk, ()) if not need.is_firm]
    return [*_lost(job), *_named(job), *soft]


def _own_state(job: Job) -> Iterator[str]:
    if job.is_underway:
        yield f"It is {underway(job)}: stop it first."


def _pins(job: Job) -> Iterator[str]:
    for artifact in job.artifacts.filter(pinned_at__isnull=False):
        yield f"The {artifact} is pinned by {artifact.pinned_by}: unpin it first."


def _needed(job: Job) -> Iterator[str]:
    """By jobs that run or wait, or are paused and would read on."""
    for reading in readings_of(job):
        if reading.job.is_underway or reading.job.status == Status.PAUSED:
            yield reader_words(reading)
    if not job.is_over:
        for waiting in Job.objects.filter(after=job, status=Status.QUEUED):
            yield f"Job {waiting.pk} ({waiting.name}) waits until it has ended."
    of = Q(on=job) | Q(other=job)
    for shut in Gate.objects.shut().filter(of, job__status=Status.QUEUED).select_related("job"):
        yield f"Job {shut.job.pk} ({shut.job.name}) waits for what it finds."
    gates = Rehearsal.objects.gates().filter(run=job, job__status=Status.QUEUED)
    for gate in gates.select_related("job"):
        yield f"Job {gate.job.pk} ({gate.job.name}) waits for it to pass."
    yield from (need.said for need in needs_of([job.pk]).get(job.pk, ()) if need.is_firm)


def _busy(job: Job) -> Iterator[str]:
    if Fetch.objects.filter(job=job, state__in=BUSY).exclude(silent()).exists():
        yield "A checkpoint of it is being brought here: wait for that, or cancel it."
    parts = Removal.objects.filter(place__artifact__job=job, state__in=BUSY)
    if parts.exclude(silent()).exists():
        yield "A part of it is being deleted: wait for that."


def _lost(job: Job) -> Iterator[str]:
    step = _goes_on_from(job) if job.status in CAN_RESUME else None
    if step is not None:
        yield f"It is {job.stands} and could go on from step {step}."
    if job.machine.is_retired:
        yield f"{job.machine} was removed from Trainyard: its files stay there."
    elif job.machine.unreachable_since:
        yield f"{job.machine} does not answer now: its files there may have to stay."


def _goes_on_from(job: Job) -> int | None:
    newest = newest_whole(job)
    return Artifact.objects.values_list("step", flat=True).get(pk=newest) if newest else None


def _named(job: Job) -> Iterator[str]:
    """Drafts that would not start without it, and jobs that could not begin anew."""
    for reading in readings_of(job):
        if reading.job.status == Status.DRAFT or _would_read_again(reading):
            yield reader_words(reading)
    for draft in Job.objects.filter(after=job, status=Status.DRAFT).exclude(pk__in=_readers(job)):
        yield f"Job {draft.pk} ({draft.name}), a draft, is to start after it."


def _would_read_again(reading: JobInput) -> bool:
    return reading.job.can_resume and reading.job.status != Status.PAUSED


def _readers(job: Job) -> list[int]:
    return [reading.job_id for reading in readings_of(job)]
