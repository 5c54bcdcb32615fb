"""From a checkpoint of a job to the job that exports it, on the machine where it lies."""

import uuid as uuids

from django.contrib.auth.models import User

from compute.models import Machine
from jobs.artifacts.story import Saved, known_of
from jobs.kinds.base import CHECKPOINTS
from jobs.kinds.export import ExportSpec
from jobs.launch.submit import NotSubmitted, Order, submit
from jobs.models import Job
from jobs.queue import claims


class ExportError(NotSubmitted):
    """A checkpoint cannot be exported."""


def exportable(job: Job) -> list[Saved]:
    """The whole checkpoints of a job, newest first, each step once."""
    made = {product.sort for product in job.job_kind.makes(job.spec_of_kind)}
    found = [saved for saved in known_of(job) if saved.artifact.is_whole]
    by_step = {saved.step: saved for saved in reversed(found)}
    return sorted(by_step.values(), key=lambda s: -s.step) if CHECKPOINTS in made else []


def find(job: Job, step: int | None) -> Saved:
    """The checkpoint of a step, or the newest. Raises ``ExportError``."""
    found = exportable(job)
    if not found:
        raise ExportError(f"Job {job.pk} has no whole checkpoint.")
    for saved in found:
        if step in (None, saved.step):
            return saved
    known = ", ".join(str(saved.step) for saved in found)
    raise ExportError(f"There is no whole checkpoint of step {step}. There are: {known}.")


def export(
    job: Job,
    saved: Saved,
    owner: User,
    *,
    name: str = "",
    keep_adapter: bool = False,
    uuid: uuids.UUID | None = None,
) -> Job:
    """Queue the export of a checkpoint. The same ``uuid`` twice is the same job.

    Raises ``NotSubmitted``.
    """
    spec = ExportSpec(job.pk, saved.step, saved.folder, keep_adapter)
    _check_machine(job.machine, spec)
    order = Order(
        owner=owner,
        name=name or default_name(job, saved.step),
        recipe="",
        spec=spec,
        steps=None,
        machine=job.machine,
        uuid=uuid or uuids.uuid4(),
    )
    return submit(order, start=True)


def default_name(job: Job, step: int) -> str:
    return f"{job.name[:170]}, step {step} exported"


def _check_machine(machine: Machine, spec: ExportSpec) -> None:
    if not Machine.objects.for_jobs().filter(pk=machine.pk).exists():
        raise ExportError(f"{machine} takes no jobs any more, and the checkpoint is there only.")
    if reason := claims.misfit(machine, spec):
        raise ExportError(reason)
