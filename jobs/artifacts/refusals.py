"""Why an artifact cannot be deleted, and the warnings before it is, from the rows of jobs."""

from collections.abc import Iterator

from django.db.models import Q

from compute.runners.base import RunnerError
from compute.runners.removing import check_removable
from jobs.artifacts.story import Saved, known_of
from jobs.models import ACTIVE, CAN_RESUME, Artifact, Fetch, Job, JobInput, Place, Status
from platform_site.work.models import BUSY

GOES_ON = (Status.QUEUED, Status.PAUSED, *ACTIVE)


def why_not(place: Place) -> str:
    """Why it must not be deleted, in a sentence; empty when it may be."""
    return next(_refusals(place), "")


def warnings(place: Place) -> list[str]:
    """What is lost with it, in sentences. Whoever still deletes it must confirm it once more."""
    return list(_warnings(place))


def _refusals(place: Place) -> Iterator[str]:
    artifact = place.artifact
    if place.gone_at:
        yield "It is not there any more."
    if artifact.is_pinned:
        yield f"It is pinned by {artifact.pinned_by}."
    if outside := _why_outside(place):
        yield outside
    yield from _readers(artifact)
    if artifact.job and artifact.kind == Artifact.Kind.CHECKPOINT:
        yield from _own_run(place, artifact, artifact.job)


def _why_outside(place: Place) -> str:
    try:
        check_removable(place.machine.workdir, place.path)
    except RunnerError as error:
        return str(error)
    return ""


def _readers(artifact: Artifact) -> Iterator[str]:
    """Jobs that read it, or will: also one that crashed and is about to be tried again."""
    going_on = Q(job__status__in=GOES_ON) | Q(job__retry_at__isnull=False)
    reads = Q(artifact=artifact)
    if artifact.job_id and artifact.has_model and artifact.pk == _newest_model(artifact.job_id):
        reads |= Q(artifact=None, source=artifact.job_id)
    for reading in JobInput.objects.filter(reads).filter(going_on).select_related("job"):
        yield f"Job {reading.job.pk} reads it, which is {reading.job.stands}."


def _newest_model(job_id: int) -> int | None:
    """The model that a job gets when it trains on from this job's newest one."""
    whole = Artifact.objects.filter(job=job_id, has_model=True, is_whole=True)
    return whole.there().order_by("-attempt", "-step").values_list("pk", flat=True).first()


def _own_run(place: Place, artifact: Artifact, job: Job) -> Iterator[str]:
    if Fetch.objects.filter(job=job, source=place.path, state__in=BUSY).exists():
        yield "It is being brought to this machine."
    if place.machine_id != job.machine_id:
        return  # what was brought here is a copy: the run itself has its own
    if job.status in ACTIVE and artifact.is_unfinished and artifact.attempt == job.attempt:
        yield f"Job {job.pk} may be writing it."
    if job.status in ACTIVE and job.resume_from == place.path:
        yield f"Job {job.pk} goes on from it, and is {job.stands}."
    waits = job.status == Status.QUEUED or job.retry_at is not None
    if waits and _will_go_on_from(artifact, job):
        yield f"Job {job.pk} will go on from it, and is {job.stands}."


def _will_go_on_from(artifact: Artifact, job: Job) -> bool:
    if job.status == Status.QUEUED and job.resume_step is not None:
        return artifact.step == job.resume_step
    return artifact.pk == newest_whole(job)


def newest_whole(job: Job) -> int | None:
    """The checkpoint that the job would go on from."""
    found = _newest_whole(job)
    return found.artifact.pk if found else None


def newest_step(job: Job) -> int:
    """The step of that checkpoint, 0 where there is none."""
    found = _newest_whole(job)
    return found.step if found else 0


def _newest_whole(job: Job) -> Saved | None:
    return next((saved for saved in known_of(job) if saved.artifact.is_whole), None)


def _warnings(place: Place) -> Iterator[str]:
    artifact, job = place.artifact, place.artifact.job
    for reading in artifact.readings.filter(job__status=Status.DRAFT).select_related("job"):
        yield f"Job {reading.job.pk}, a draft, is to read it: it would not start without it."
    for reading in artifact.readings.filter(job__status__in=CAN_RESUME).select_related("job"):
        yield f"Job {reading.job.pk}, which is {reading.job.stands}, read it when it began."
    if job is None or place.machine_id != job.machine_id or not artifact.is_whole:
        return
    if artifact.pk != newest_whole(job):
        return
    if job.status in CAN_RESUME:
        yield f"It is the one that job {job.pk}, which is {job.stands}, would go on from."
    elif job.status in ACTIVE:
        yield f"It is the newest of job {job.pk}, which is {job.stands}: a crash would need it."
