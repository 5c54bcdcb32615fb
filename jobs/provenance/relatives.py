"""The jobs that a job came from, and those that came from it. Other users' are only counted; a
command, which has no viewer, sees all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db.models import Q

from jobs.models import Job, JobInput, JobQuerySet, Rehearsal
from jobs.recipebook.book import OF_JOB

MOST = 50  # of each side
MOST_READINGS = 1000


@dataclass(frozen=True)
class Relative:
    """``role`` says what it is to the job, such as "clone"."""

    job: Job
    role: str


@dataclass
class Relatives:
    """``hidden`` are other users'; ``more`` are too many to be shown."""

    shown: list[Relative] = field(default_factory=list)
    hidden: int = 0
    more: int = 0


def parents_of(job: Job, viewer: User | None) -> Relatives:
    """What it was copied from, waited for, read, or tries."""
    return _seen(job, _parents(job), viewer)


def children_of(job: Job, viewer: User | None) -> Relatives:
    """What was copied from it, waits for it, reads what it made, or tries it."""
    return _seen(job, _children(job), viewer)


def _parents(job: Job) -> Iterator[tuple[int, str]]:
    if job.after_id:
        yield job.after_id, "started after it"
    if named := OF_JOB.fullmatch(job.recipe):
        yield int(named[1]), "clone of it"
    if job.cloned_from_id:
        yield job.cloned_from_id, "clone of it"
    if tried := Rehearsal.objects.filter(run=job).first():
        yield tried.job_id, f"{job.kind_label.lower()} of it"
    for reading in job.inputs.select_related("artifact"):
        source = reading.artifact.job_id if reading.artifact else reading.source_id
        if source:
            yield source, f"reads its {reading.get_role_display().lower()}"


def _children(job: Job) -> Iterator[tuple[int, str]]:
    own = Job.objects.order_by("pk")
    for pk in own.filter(after=job).values_list("pk", flat=True):
        yield pk, "starts after it"
    cloned = Q(cloned_from=job) | Q(recipe=f"job-{job.pk}")
    for pk in own.filter(cloned).values_list("pk", flat=True):
        yield pk, "clone"
    for run in Job.objects.filter(rehearses__job=job).only("pk", "kind"):
        yield run.pk, run.kind_label.lower()
    readings = JobInput.objects.filter(Q(artifact__job=job) | Q(source=job)).order_by("job")
    for reading in readings.select_related("job")[:MOST_READINGS]:
        yield reading.job_id, f"{reading.job.kind_label}, {reading.get_role_display().lower()}"


def _seen(of: Job, pairs: Iterable[tuple[int, str]], viewer: User | None) -> Relatives:
    roles: dict[int, dict[str, None]] = {}
    for pk, role in pairs:
        roles.setdefault(pk, {})[role] = None
    found = Job.objects.filter(pk__in=[pk for pk in roles if pk != of.pk])
    mine: JobQuerySet = found if viewer is None else found.visible_to(viewer)
    shown, count = mine.order_by("pk")[:MOST], mine.count()
    return Relatives(
        [Relative(job, ", ".join(roles[job.pk])) for job in shown],
        hidden=found.count() - count,
        more=max(0, count - MOST),
    )
