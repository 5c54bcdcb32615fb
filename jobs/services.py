"""Verbs on jobs: the only writers. Web, admin and commands all come through here."""

import uuid as uuids
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.text import slugify
from django_q.tasks import queue_size

from compute.models import Machine
from compute.runners.base import Launch, RunnerError, RunnerUnsure
from compute.runners.rundir import write_script
from compute.services import runner_for
from datasets.models import Version
from jobs import leases, lifecycle, parents, trackers
from jobs.models import HOLDS_SLOT, Job, Status
from jobs.places import places
from jobs.recipebook import find_recipe
from jobs.trackers import TrackerError
from jobs.verl.command import build_command
from jobs.verl.spec import Command, Placement, TrainSpec
from jobs.verl.steps import judge
from jobs.work import kick, later

STUCK_QUEUE = timedelta(seconds=5)
STUCK_STOP = timedelta(seconds=30)  # beyond the grace period


@dataclass(frozen=True)
class Order:
    """What a user asks for, already checked. The same ``uuid`` twice is the same job."""

    owner: User
    name: str
    recipe: str
    spec: TrainSpec
    steps: int
    machine: Machine
    uuid: uuids.UUID
    after: Job | None = None
    after_checkpoint: bool = False  # whose model is then what ``after`` has saved
    dataset_version: Version | None = None


def submit(order: Order, *, start: bool) -> Job:
    """Keep the job as a draft and, when asked, put it into the queue."""
    fields = _fields(order)
    job, made = Job.objects.get_or_create(uuid=order.uuid, owner=order.owner, defaults=fields)
    if not made:  # the same form again: a draft takes what was changed, a started job does not
        Job.objects.filter(pk=job.pk, status=Status.DRAFT).update(**fields)
        job.refresh_from_db()
    if start:
        enqueue(job, who=order.owner.get_username())
    return job


def command_for(order: Order) -> Command:
    """The command that this order would run: what the preview shows is what then runs."""
    return command_of(Job(uuid=order.uuid, owner=order.owner, **_fields(order)))


def _fields(order: Order) -> dict[str, Any]:
    recipe = find_recipe(order.recipe, order.owner)
    return {
        "name": order.name,
        "recipe": order.recipe,
        "kind": order.spec.kind,
        "spec": order.spec.to_json(),
        "steps": order.steps,
        "machine": order.machine,
        "after": order.after,
        "after_checkpoint": order.after_checkpoint,
        "gpus": leases.needed(order.spec),
        "dataset_version": order.dataset_version,
        "is_sample": bool(recipe and recipe.is_sample),
    }


def command_of(job: Job) -> Command:
    """The command that was started or, before that, the one that would be."""
    if job.command:
        return Command.from_json(job.command)
    spec = job.train_spec
    name = f"{slugify(job.name)[:60] or 'run'}-{str(job.uuid)[:8]}"
    devices = leases.devices_held(job) if job.gpus and job.is_active else ()
    placement = Placement(job.run_dir, job.machine.python, name, devices)
    return build_command(spec, placement, origins(job.recipe, spec, job.owner))


def script_of(job: Job) -> str:
    """The run script of a job: what was written into its run directory, or what will be."""
    command = command_of(job)
    return write_script(command.argv, command.env, command.cwd)


def origins(recipe_slug: str, spec: TrainSpec, owner: User) -> dict[str, str]:
    """Who set each knob: the recipe, or the user where the value differs from the recipe's."""
    recipe = find_recipe(recipe_slug, owner)
    given = recipe.spec(places()).values if recipe else {}
    return {
        name: "recipe" if given.get(name) == value else "you" for name, value in spec.values.items()
    }


def enqueue(job: Job, *, who: str) -> bool:
    """Let a job join the line of its machine, where it is its owner's turn."""
    with transaction.atomic():
        leases.locked(job.machine_id)
        now = timezone.now()
        queued = lifecycle.move(
            job, Status.QUEUED, who=who, queued_at=now, position=None, held_at=None
        )
        if queued:
            leases.take_turn(job)
    return queued


def kick_stuck() -> None:
    """Ask again for what should have happened by now: a worker may have died on the way."""
    if queue_size():
        return  # the workers have not come to it yet
    waiting = Job.objects.queued().filter(queued_at__lt=timezone.now() - STUCK_QUEUE)
    for machine in Machine.objects.filter(pk__in=waiting.order_by().values("machine")):
        if leases.could_start(machine):
            kick(machine.pk)
    overdue = timezone.now() - STUCK_STOP - timedelta(seconds=settings.TRAINYARD_STOP_GRACE)
    for job in Job.objects.holding_slot().filter(stop_asked_at__lt=overdue):
        later("jobs.tasks.stop_run", job.pk)


def launch_queued(machine_id: int) -> None:
    while job := claim_next(machine_id):
        try:
            parents.settle_model(job)
        except RunnerError as error:
            finish_as(job, Status.FAILED, f"It could not be started. {error}")
        else:
            launch(job)


def claim_next(machine_id: int) -> Job | None:
    """Take the next job that fits into STARTING, with its devices."""
    with transaction.atomic():
        return leases.claim(leases.locked(machine_id))


def launch(job: Job) -> None:
    """Start a claimed job. When it is unsure whether that worked, the run directory will tell."""
    command = command_of(job)
    lifecycle.touch(job, command=command.to_json())
    try:
        secrets = trackers.environment(job.train_spec, job.owner)
        runner_for(job.machine).launch(Launch(job.run_dir, command.argv, command.env, secrets))
    except RunnerUnsure as error:
        lifecycle.record(job, "launch unsure", message=str(error))
    except (RunnerError, TrackerError) as error:
        finish_as(job, Status.FAILED, f"It could not be started. {error}")
    else:
        started(job)


def started(job: Job) -> None:
    if lifecycle.move(job, Status.RUNNING) and job.stop_asked_at:
        stop_run(job)


def stop(job: Job, *, who: str) -> bool:
    """Stop a job: one that waits ends at once, one that runs is asked to; false if too late."""
    if _stop_waiting(job, who):
        return True
    with transaction.atomic():
        asked = Job.objects.filter(pk=job.pk, status__in=HOLDS_SLOT, stop_asked_at=None).update(
            stop_asked_at=timezone.now(), revision=F("revision") + 1
        )
        if asked:
            lifecycle.record(job, "stop asked", who=who)
            later("jobs.tasks.stop_run", job.pk)
    job.refresh_from_db()
    return bool(asked)


def _stop_waiting(job: Job, who: str) -> bool:
    return lifecycle.move(
        job,
        Status.STOPPED,
        only_from=Status.QUEUED,  # a worker may have begun to start it meanwhile
        who=who,
        reason="Stopped before it started.",
        ended_at=timezone.now(),
    )


def stop_run(job: Job) -> None:
    """Ask the run to end. Its verdict comes from the run directory, as for every other end."""
    try:
        runner_for(job.machine).stop(job.run_dir, settings.TRAINYARD_STOP_GRACE)
    except RunnerError as error:
        lifecycle.record(job, "stop failed", message=str(error))
        lifecycle.touch(job, stop_asked_at=None)


def finish(job: Job, exit_code: int, error: str = "") -> None:
    """End a job by its exit code and the steps that its metrics show.

    ``error`` is what the run itself said last, told to the user when it failed.
    """
    verdict = judge(exit_code, job.step, job.steps, job.stop_asked_at is not None)
    reason = verdict.reason
    if verdict.status == Status.FAILED and error:
        reason = f"{reason} {trackers.mask(error, job)}"
    finish_as(job, Status(verdict.status), reason, exit_code=exit_code)


def lose(job: Job, reason: str) -> None:
    finish_as(job, Status.LOST, reason)


def finish_as(job: Job, status: Status, reason: str, **fields: Any) -> None:
    lifecycle.move(job, status, reason=reason, ended_at=timezone.now(), **fields)


def rename(job: Job, name: str, *, who: str) -> None:
    if name != job.name:
        lifecycle.record(job, "renamed", who=who, message=f"from {job.name}")
        lifecycle.touch(job, name=name)
