"""From a training job to the job that rehearses it, on this machine's CPU."""

from django.contrib.auth.models import User
from django.db import transaction

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.kinds.rehearsal import RehearsalSpec
from jobs.kinds.train import TRAINED
from jobs.launch.submit import NotSubmitted, Order, enqueue, submit
from jobs.models import Job
from jobs.queue import held
from jobs.rehearsal.trials import try_out
from jobs.verl.model_dir import HUB_NAME
from platform_site.paths import allowed


class RehearsalError(NotSubmitted):
    """A job cannot be rehearsed."""


def rehearse(job: Job, owner: User, *, must_pass: bool = False) -> Job:
    """Queue the rehearsal of a job; one of the same settings that is underway already is taken.

    Raises ``NotSubmitted``.
    """
    return try_out(job, owner, spec_of(job), local_machine(), must_pass=must_pass)


def rehearse_first(job: Job, owner: User) -> Job:
    """Put a draft into its line, where it waits until its rehearsal has passed.

    Gives the rehearsal. Raises ``NotSubmitted``, and then leaves the draft as it is.
    """
    with transaction.atomic():
        held.lock(job.spec_of_kind, job.machine)  # and this machine's, where it is rehearsed
        if not job.can_start:
            raise RehearsalError(f"{job.name} is {job.stands}: only a draft can be started.")
        made = rehearse(job, owner, must_pass=True)
        enqueue(job, who=owner.get_username())
    return made


def submit_rehearsed(order: Order) -> Job:
    """Submit a job that starts when its rehearsal has passed. The same order twice is one job.

    Raises ``NotSubmitted``, and then leaves nothing behind.
    """
    with transaction.atomic():
        job = submit(order, start=False)
        if job.can_start:
            rehearse_first(job, order.owner)
    return job


def spec_of(job: Job) -> RehearsalSpec:
    """What a rehearsal of the job is to try. Raises ``RehearsalError``."""
    kind, spec = job.job_kind, job.spec_of_kind
    if not kind.can_rehearse:
        raise RehearsalError(f"A job of the kind {kind.label} cannot be rehearsed.")
    machine = local_machine()
    if not Machine.objects.for_jobs().filter(pk=machine.pk).exists():
        raise RehearsalError(f"{machine} takes no jobs, and a rehearsal runs there.")
    model = model_of(job)
    placed = kind.placed(spec, {TRAINED: model})
    return RehearsalSpec(job.pk, spec.kind, placed.to_json(), is_here=job.machine.is_local)


def model_of(job: Job) -> str:
    """The model whose architecture and tokenizer the job has, on this machine.

    A job that trains on what another has yet to make has those of the other. Raises
    ``RehearsalError``.
    """
    seen = {job.pk}
    while job.awaited and job.after and job.after.pk not in seen:
        job = job.after
        seen.add(job.pk)
    name = job.job_kind.base_model
    path = job.job_kind.reads(job.spec_of_kind).models.get(name, "") if name else ""
    if HUB_NAME.fullmatch(path):
        return path
    folder = allowed(path) if path else None
    if folder is None or not (folder / "config.json").is_file():
        raise RehearsalError(
            f"There is no model at {path or 'its place'} on {local_machine()}, where a rehearsal "
            "runs. It needs the config.json and the tokenizer there; no weights."
        )
    return path
