"""Deleting a job: its files wherever they lie, and then all that was recorded of it.

The files go first, by a process of its own. The job's row is there until nothing of it is left, so
that a deletion which was broken off can be asked for again.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from django.db import transaction
from django.utils import timezone

from compute.machines.local import local_machine
from compute.machines.reachability import mark_unreachable
from compute.machines.runners import runner_for
from compute.runners.base import Runner, RunnerError, Unreachable
from jobs import events, lifecycle
from jobs.archive.belongings import MOST_FILES, Budget, measure, run_folder
from jobs.archive.refusals import warnings, why_not
from jobs.artifacts.deleting import DeleteError, NeedsSecondWord
from jobs.files.parents import fetched_folder
from jobs.models import Artifact, Deletion, Job, JobInput, Place, Status
from jobs.places import mirror_folder
from jobs.queue import claims
from platform_site.work import doing, together, verbs
from platform_site.work.doing import WorkFailed
from platform_site.work.models import BUSY


def delete_all(
    jobs: Sequence[Job], *, who: str, sure: bool = False, leaves: bool = False
) -> tuple[int, list[str]]:
    """Have jobs deleted, one after the other by one process. From here on nothing reads them and
    they do not start. ``sure`` is the second word of somebody who was told what is lost; ``leaves``
    lets files stay on a machine that does not answer. Gives how many jobs are being deleted, and
    why the others are not, in sentences."""
    asked, refused = list[Deletion](), list[str]()
    with transaction.atomic():
        _lock(jobs)
        for job in jobs:
            try:
                asked.append(_ask(job, who, sure, leaves))
            except DeleteError as error:
                refused.append(str(error))
        if asked:
            verbs.ask(asked[0])
    return len(asked), refused


def delete_now(job: Job, *, who: str, sure: bool = False, leaves: bool = False) -> Deletion:
    """Delete it in this process. Raises ``DeleteError``."""
    deletion = _ask(job, who, sure, leaves)
    work_off(deletion)
    if not deletion.is_done:
        raise DeleteError(deletion.error or _goes_on(deletion))
    return deletion


def _ask(job: Job, who: str, sure: bool, leaves: bool) -> Deletion:
    with transaction.atomic():
        _lock([job])
        try:
            job.refresh_from_db()
        except Job.DoesNotExist:
            raise DeleteError(f"Job {job.pk} is deleted already.") from None
        if (asked := job.deletion) and asked.state in BUSY:
            if not verbs.renew(asked, who=who, leaves=leaves):
                raise DeleteError(_goes_on(asked))
            return asked
        _check(job, sure)
        lifecycle.touch(job, deleting_at=timezone.now())
        there = Place.objects.there().filter(artifact__job=job)
        there.update(gone_at=job.deleting_at, gone_by=who)
        lifecycle.record(job, events.JOB_DELETION_ASKED, who=who)
        return Deletion.objects.create(
            job=job, number=job.pk, name=job.name, owner_id=job.owner_id, who=who, leaves=leaves
        )


def _lock(jobs: Sequence[Job]) -> None:
    """No job begins to wait for one of these meanwhile, or to read what was brought of it."""
    brought = Place.objects.there().filter(artifact__job__in=jobs).values_list("machine", flat=True)
    claims.locked(*{*(job.machine_id for job in jobs), *brought})


def _check(job: Job, sure: bool) -> None:
    if reasons := why_not(job):
        raise DeleteError(f"Job {job.pk} is not deleted. {' '.join(reasons)}")
    lost = warnings(job)
    if lost and not sure:
        raise NeedsSecondWord(f"Job {job.pk}: {' '.join(lost)}")


def _goes_on(deletion: Deletion) -> str:
    return f"Job {deletion.number} is being deleted already: {deletion.who} asked for it."


def work_off_all(deletion: Deletion) -> bool:
    """Do a deletion, and then those that wait."""
    return together.work_off(deletion, work_off)


def work_off(deletion: Deletion) -> bool:
    """Do a deletion that waits; false when somebody else does it, or nobody asked for it."""
    return doing.do(deletion, _emptied, _tell_end)


def _emptied(deletion: Deletion) -> dict[str, int | str]:
    job = deletion.job
    if job is None:
        return {}
    progress, freed, left = doing.Progress(deletion), 0, list[str]()
    total = sum(artifact.size or 0 for artifact in job.artifacts.all())
    try:
        for size in _removed_there(job):
            freed += size
            progress(freed, max(total, freed))
    except Unreachable as error:
        if not (deletion.leaves or job.machine.is_retired):
            mark_unreachable(job.machine, error)
            raise WorkFailed(f"{error} Ask again when it answers, or let its files stay.") from None
        left.append(f"{run_folder(job)} on {job.machine}")
    except RunnerError as error:
        raise WorkFailed(str(error)) from None
    return {"freed": freed + _removed_here(job), "left": ", ".join([*left, *_elsewhere(job)])}


def _removed_there(job: Job) -> Iterator[int]:
    """Remove what the job has on its machine, and give the bytes of each part: the large ones by
    themselves, for the sake of progress."""
    never = job.started_at is None and job.attempt == 1 and job.command is None
    if never and not job.machine.is_local:
        return  # it has never been there
    runner = runner_for(job.machine)
    _check_dead(job, runner)
    folder = run_folder(job)
    parts = Place.objects.filter(artifact__job=job, machine=job.machine, gone_at=job.deleting_at)
    for place in parts:
        if PurePosixPath(place.path).is_relative_to(folder):
            yield runner.remove(place.path) or 0
            Place.objects.filter(pk=place.pk).update(gone_at=timezone.now())
    yield runner.remove(folder) or 0


def _check_dead(job: Job, runner: Runner) -> None:
    """Of a run that was lost nobody knows whether it ended."""
    if job.status != Status.LOST:
        return
    alive = runner.alive(job.run_dir)
    if alive.wrapper or alive.process:
        raise RunnerError(f"Its process still runs on {job.machine}, though it was lost. End it.")


def _removed_here(job: Job) -> int:
    """What was brought here of the job, or copied."""
    mirror, fetched = mirror_folder(job.uuid), fetched_folder(job)
    size, _ = measure([mirror], Budget(MOST_FILES))
    shutil.rmtree(mirror, ignore_errors=True)
    if not fetched.exists():
        return size
    try:
        return size + (runner_for(local_machine()).remove(str(fetched)) or 0)
    except RunnerError as error:
        raise WorkFailed(str(error)) from None


def _elsewhere(job: Job) -> Iterator[str]:
    """What somebody had brought to a folder of their own, which is theirs."""
    for fetch in job.fetches.all():
        if fetch.is_here and not PurePosixPath(fetch.target).is_relative_to(fetched_folder(job)):
            yield f"{fetch.target} on this machine"


def _tell_end(deletion: Deletion) -> None:
    job = deletion.job
    if job is None:
        return
    if deletion.is_done:
        _forget(job)
        deletion.refresh_from_db()
        return
    # What is still there is there again; whoever looks at the disk next sees the rest.
    taken = Place.objects.filter(artifact__job=job, gone_at=job.deleting_at)
    taken.update(gone_at=None, gone_by="")
    lifecycle.touch(job, deleting_at=None)
    lifecycle.record(job, events.JOB_NOT_DELETED, who=deletion.who, message=deletion.error)


def _forget(job: Job) -> None:
    """Delete its rows. What another job was made from stays in the lineage, as something gone."""
    read = JobInput.objects.filter(artifact__job=job).exclude(job=job).values("artifact")
    job.inputs.all().delete()
    Artifact.objects.filter(job=job).exclude(pk__in=read).delete()
    job.delete()
