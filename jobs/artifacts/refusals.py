"""Why an artifact cannot be deleted, and the warnings before it is, from the rows of jobs."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from django.db.models import Q, QuerySet

from compute.runners.base import RunnerError
from compute.runners.removing import check_removable
from jobs.artifacts.story import Saved, known_of
from jobs.models import ACTIVE, CAN_RESUME, Artifact, Fetch, Job, JobInput, Place, Status
from jobs.needs import Need, Needs, needs_of
from platform_site.work.models import BUSY

BULKY = ("artifact__job__spec", "artifact__job__command")
GOES_ON = (Status.QUEUED, Status.PAUSED, *ACTIVE)


def why_not(place: Place) -> str:
    """Why it must not be deleted, in a sentence; empty when it may be."""
    return Judge([place]).why_not(place)


def warnings(place: Place) -> list[str]:
    """What is lost with it, in sentences. Whoever still deletes it must confirm it once more."""
    return Judge([place]).warnings(place)


class Judge:
    """Says of places whether they may be emptied, by what the rows say when it is first asked.

    The rows are read for all the places at once: it takes as many queries for 100 places of a run
    as for one. Each comes with its machine, its artifact and the job of that.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._at = _artifacts_at(places)
        found = [place.artifact for place in places]
        found += [artifact for lying in self._at.values() for artifact in lying]
        self._artifacts = {artifact.pk for artifact in found}
        self._jobs = {artifact.job_id for artifact in found if artifact.job_id}
        self._newest = dict[int, int | None]()

    def why_not(self, place: Place) -> str:
        """Why it must not be deleted, in a sentence; empty when it may be."""
        return next(self._refusals(place), "")

    def warnings(self, place: Place) -> list[str]:
        """What is lost with it, in sentences."""
        return list(self._warnings(place))

    def _refusals(self, place: Place) -> Iterator[str]:
        if place.gone_at:
            yield "It is not there any more."
        if outside := _why_outside(place):
            yield outside
        for artifact in self._lying_at(place):
            if artifact.is_pinned:
                yield f"It is pinned by {artifact.pinned_by}."
            for reader in self._readers(artifact):
                yield f"Job {reader.pk} reads it, which is {reader.stands}."
            yield from (need.said for need in self._needs(place, artifact) if need.is_firm)
            if artifact.job and artifact.kind == Artifact.Kind.CHECKPOINT:
                yield from self._own_run(place, artifact, artifact.job)

    def _lying_at(self, place: Place) -> Sequence[Artifact]:
        lying = self._at.get((place.machine_id, place.path), ())
        return place.artifact, *(each for each in lying if each.pk != place.artifact_id)

    def _readers(self, artifact: Artifact) -> Iterator[Job]:
        yield from self._readings.get(artifact.pk, ())
        if artifact.job_id and self._newest_models.get(artifact.job_id) == artifact.pk:
            yield from self._heirs.get(artifact.job_id, ())

    @cached_property
    def _readings(self) -> Mapping[int, Sequence[Job]]:
        """The jobs that read an artifact, or will, by its key."""
        return _jobs_by("artifact_id", _going_on().filter(artifact__in=self._artifacts))

    @cached_property
    def _heirs(self) -> Mapping[int, Sequence[Job]]:
        """The jobs that await the newest model of a job, by its key."""
        return _jobs_by("source_id", _going_on().filter(artifact=None, source__in=self._jobs))

    @cached_property
    def _newest_models(self) -> Mapping[int, int]:
        """The model that is given to whoever awaits one of a job, by that job's key."""
        whole = Artifact.objects.filter(job__in=self._jobs, has_model=True, is_whole=True)
        oldest_first = whole.there().order_by("attempt", "step").values_list("job", "pk")
        return {job: pk for job, pk in oldest_first if job is not None}

    def _needs(self, place: Place, artifact: Artifact) -> Iterator[Need]:
        job = artifact.job
        if job is not None and place.machine_id == job.machine_id:
            found = self._needed.get(job.pk, ())
            yield from (need for need in found if need.is_of(place.path))

    @cached_property
    def _needed(self) -> Needs:
        """What apps above need of the jobs that made them."""
        return needs_of(self._jobs)

    @cached_property
    def _fetched(self) -> set[tuple[int, str]]:
        """What is being brought here, as the key of the job and the path."""
        busy = Fetch.objects.filter(job__in=self._jobs, state__in=BUSY)
        return set(busy.values_list("job", "source"))

    @cached_property
    def _read_before(self) -> Mapping[int, Sequence[Job]]:
        """The jobs that may want an artifact once more, by its key."""
        wanted = (Status.DRAFT, *CAN_RESUME)
        rows = JobInput.objects.filter(artifact__in=self._artifacts, job__status__in=wanted)
        return _jobs_by("artifact_id", rows)

    def _newest_whole(self, job: Job) -> int | None:
        if job.pk not in self._newest:
            self._newest[job.pk] = newest_whole(job)
        return self._newest[job.pk]

    def _own_run(self, place: Place, artifact: Artifact, job: Job) -> Iterator[str]:
        if (job.pk, place.path) in self._fetched:
            yield "It is being brought to this machine."
        if place.machine_id != job.machine_id:
            return  # what was brought here is a copy: the run itself has its own
        if job.status in ACTIVE and artifact.is_unfinished and artifact.attempt == job.attempt:
            yield f"Job {job.pk} may be writing it."
        if job.status in ACTIVE and job.resume_from == place.path:
            yield f"Job {job.pk} goes on from it, and is {job.stands}."
        waits = job.status == Status.QUEUED or job.retry_at is not None
        if waits and self._will_go_on_from(artifact, job):
            yield f"Job {job.pk} will go on from it, and is {job.stands}."

    def _will_go_on_from(self, artifact: Artifact, job: Job) -> bool:
        if job.status == Status.QUEUED and job.resume_step is not None:
            return artifact.step == job.resume_step
        return artifact.pk == self._newest_whole(job)

    def _warnings(self, place: Place) -> Iterator[str]:
        for artifact in self._lying_at(place):
            yield from self._lost(place, artifact, artifact.job)

    def _lost(self, place: Place, artifact: Artifact, job: Job | None) -> Iterator[str]:
        yield from map(_may_want, self._read_before.get(artifact.pk, ()))
        yield from (need.said for need in self._needs(place, artifact) if not need.is_firm)
        if job is None or place.machine_id != job.machine_id or not artifact.is_whole:
            return
        if artifact.pk != self._newest_whole(job):
            return
        if job.status in CAN_RESUME:
            yield f"It is the one that job {job.pk}, which is {job.stands}, would go on from."
        elif job.status in ACTIVE:
            yield f"It is the newest of job {job.pk}, which is {job.stands}: a crash would need it."


def _artifacts_at(places: Sequence[Place]) -> Mapping[tuple[int, str], Sequence[Artifact]]:
    """All that lies at these places, by machine and path: a folder may be known as what a run saved
    and as what somebody brought."""
    same = Place.objects.there().filter(
        machine__in={place.machine_id for place in places}, path__in={each.path for each in places}
    )
    found = dict[tuple[int, str], list[Artifact]]()
    for each in same.select_related("artifact__job").defer(*BULKY):
        found.setdefault((each.machine_id, each.path), []).append(each.artifact)
    return found


def _may_want(reader: Job) -> str:
    if reader.status == Status.DRAFT:
        return f"Job {reader.pk}, a draft, is to read it: it would not start without it."
    return f"Job {reader.pk}, which is {reader.stands}, read it when it began."


def _going_on() -> QuerySet[JobInput]:
    """What jobs read that go on, or will: also one that crashed and is about to be tried again."""
    going_on = Q(job__status__in=GOES_ON) | Q(job__retry_at__isnull=False)
    return JobInput.objects.filter(going_on)


def _jobs_by(field: str, inputs: QuerySet[JobInput]) -> Mapping[int, Sequence[Job]]:
    found = dict[int, list[Job]]()
    for each in inputs.select_related("job").defer("job__spec", "job__command"):
        found.setdefault(getattr(each, field), []).append(each.job)
    return found


def _why_outside(place: Place) -> str:
    try:
        check_removable(place.machine.workdir, place.path)
    except RunnerError as error:
        return str(error)
    return ""


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
