"""Verbs on jobs: the only writers. Web, admin and commands all come through here."""

import logging
import subprocess
import sys
import uuid as uuids
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.text import slugify
from django_q.tasks import queue_size

from compute.models import Machine
from compute.runners.base import Launch, RunnerError, RunnerUnsure, Unreachable
from compute.runners.rundir import write_script
from compute.services import mark_unreachable, runner_for, settle_paths
from datasets.models import Version
from jobs import lifecycle
from jobs.checkpoints import RESUMED, Chosen, choose
from jobs.files import parents
from jobs.files.shipping import shipped
from jobs.launch import joint
from jobs.models import ENDED, HOLDS_SLOT, Event, Job, Status
from jobs.places import places
from jobs.queue import claims
from jobs.queue.spreading import misspread, taken_at_start
from jobs.recipebook.book import find_recipe
from jobs.starting import Overtaken, still_starting
from jobs.trackers import accounts
from jobs.trackers.accounts import TrackerError
from jobs.verl.command import build_command
from jobs.verl.retries import Crash, Decision, decide
from jobs.verl.spec import Command, Placement, TrainSpec
from jobs.verl.steps import judge
from jobs.work import kick, later

log = logging.getLogger(__name__)
STUCK_QUEUE = timedelta(seconds=5)
CUT_OFF = "start cut off"
MOST_CUT_OFF = 5  # then there is something about this job that kills whoever starts it
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
    retries: int = 0
    max_seconds: int | None = None


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
    return command_of(drafted(order))


def drafted(order: Order) -> Job:
    """The job that this order would make; it is not kept."""
    return Job(uuid=order.uuid, owner=order.owner, **_fields(order))


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
        "gpus": claims.needed(order.spec),
        "dataset_version": order.dataset_version,
        "retries": order.retries,
        "max_seconds": order.max_seconds,
        "is_sample": bool(recipe and recipe.is_sample),
    }


def command_of(job: Job) -> Command:
    """The command that was started or, before that, the one that would be."""
    if job.command:
        return Command.from_json(job.command)
    return build(job, job.train_spec)


def build(job: Job, spec: TrainSpec) -> Command:
    name = f"{slugify(job.name)[:60] or 'run'}-{str(job.uuid)[:8]}"
    placement = Placement(
        job.run_dir,
        job.machine.python,
        name,
        devices=claims.devices_held(job) if job.gpus and job.is_active else (),
        resume_from=job.resume_from,
        spread=joint.spread_of_job(job, spec),
    )
    return build_command(spec, placement, origins(job.recipe, job.train_spec, job.owner))


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
        claims.locked(job.machine_id)
        queued = lifecycle.move(
            job, Status.QUEUED, only_from=(Status.DRAFT,), who=who, **claims.joining()
        )
        if queued:
            claims.take_turn(job)
    return queued


def kick_stuck() -> None:
    """Ask again for what should have happened by now: a worker may have died on the way."""
    if queue_size():
        return  # the workers have not come to it yet
    waiting = Job.objects.queued().filter(queued_at__lt=timezone.now() - STUCK_QUEUE)
    for machine in Machine.objects.filter(pk__in=waiting.order_by().values("machine")):
        if claims.could_start(machine):
            kick(machine.pk)
    overdue = timezone.now() - STUCK_STOP - timedelta(seconds=settings.TRAINYARD_STOP_GRACE)
    reached = Job.objects.holding_slot().filter(machine__unreachable_since=None)
    for job in reached.filter(stop_asked_at__lt=overdue):
        later("jobs.tasks.stop_run", job.pk)


def launch_queued(machine_id: int) -> None:
    """Start what can start. What takes long before it starts gets a process of its own."""
    while job := claim_next(machine_id):
        if job.machine.is_local and job.attempt == 1:
            launch(job)
        else:
            spawn_launch(job)


def spawn_launch(job: Job) -> None:
    """A task may take two minutes only; sending data, or examining a checkpoint, takes longer."""
    with (Path(settings.TRAINYARD_HOME) / "launch.log").open("ab") as out:
        subprocess.Popen(
            [sys.executable, "manage.py", "launch", str(job.pk)],
            cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip


def claim_next(machine_id: int) -> Job | None:
    """Take the next job that fits into STARTING, with its devices."""
    with transaction.atomic():
        return claims.claim(claims.locked(machine_id))


def launch(job: Job) -> None:
    """Start a claimed job. When it is unsure whether that worked, the run directory will tell."""
    try:
        made = prepare(job)
        still_starting(job, command=job.command, reason="")
        if closed := job.machine.lease_closes:  # sending its data may have taken hours
            wait_in_line(job, closed)
            return
        made = joint.bring_up(job, made)
        runner_for(job.machine).launch(made)
    except Overtaken:
        stop_before_start(job)
    except Unreachable as error:
        wait_for_machine(job, error)
    except RunnerUnsure as error:
        lifecycle.record(job, "launch unsure", message=str(error))
    except Exception as error:
        _not_started(job, error)
    else:
        started(job)


def _not_started(job: Job, error: Exception) -> None:
    if stop_before_start(job):
        return
    why = f"It could not be started. {error}"
    if not isinstance(error, RunnerError | TrackerError):
        log.error("%s could not be started", job, exc_info=error)
        why = f"It could not be started: an error that Trainyard did not expect. {error!r}"
    finish_as(job, Status.FAILED, why, only_from=(Status.STARTING,))


def prepare(job: Job) -> Launch:
    """All that comes before the start: the checkpoint, the data, the command."""
    settle_paths(job.machine)
    try:
        parents.settle_model(job)
        if job.attempt > 1:
            go_on_from(job, choose(job, job.resume_step or None))
        if reason := misspread(job.machine, job.train_spec):
            raise RunnerError(reason)
        spec = shipped(job, runner_for(job.machine))
    except RunnerUnsure as error:  # nothing was started yet
        raise RunnerError(str(error)) from error
    command = build(job, spec)
    job.command = command.to_json()
    secrets = accounts.environment(job.train_spec, job.owner)
    return Launch(job.run_dir, command.argv, command.env, secrets, taken_at_start(spec))


def wait_for_machine(job: Job, error: Unreachable) -> None:
    """Nothing was started: the job goes back into the queue until the machine answers."""
    if job.machine.is_group:
        joint.missed(job, error)
    else:
        mark_unreachable(job.machine, error)
    wait_in_line(job, str(error))


def wait_in_line(job: Job, reason: str) -> None:
    """Put a job that was not started back into the queue, unless it was asked to stop."""
    if stop_before_start(job):
        return
    joint.take_down(job)
    lifecycle.move(job, Status.QUEUED, only_from=(Status.STARTING,), reason=reason, started_at=None)


def start_again(job: Job, why: str = "") -> None:
    """Whoever was to start it is gone, and has started nothing: it is in line again, where it was,
    as a new attempt. The one before is barred (see ``Runner.bar``). ``why`` is what its machine
    says of it."""
    if stop_before_start(job):
        return
    if job.events.filter(kind=CUT_OFF).count() >= MOST_CUT_OFF:
        lose(job, f"Its start was cut off again and again before anything was started. {why}")
        return
    joint.take_down(job)
    why = why or "Whoever started it was gone before anything was started."
    lifecycle.record(job, CUT_OFF, message=why)
    lifecycle.move(
        job,
        Status.QUEUED,
        only_from=(Status.STARTING,),
        reason=f"{why} It starts again.",
        attempt=F("attempt") + 1,
        started_at=None,
        command=None,
    )


def stop_before_start(job: Job) -> bool:
    """End a job that was asked to stop while it was being made ready."""
    job.refresh_from_db()
    if job.status != Status.STARTING or job.stop_asked_at is None:
        return False
    finish_as(job, Status.STOPPED, "Stopped before it started.", only_from=(Status.STARTING,))
    return True


def go_on_from(job: Job, chosen: Chosen) -> None:
    """Let the attempt begin with a checkpoint; without any, at the beginning."""
    for refusal in chosen.refused:
        lifecycle.record(job, "checkpoint refused", message=refusal)
    saved = chosen.saved
    step, folder = (saved.step, saved.folder) if saved else (0, "")
    still_starting(job, resume_from=folder, resume_step=step, step=step)


def tell_resumed(job: Job) -> None:
    """Said once the attempt has begun: one that never did is no part of the story.

    By whoever sees it first, who may be killed before it says so.
    """
    if job.attempt > 1 and not job.events.filter(kind=RESUMED, attempt=job.attempt).exists():
        step = job.resume_step or 0
        whence = f"from the checkpoint of step {step}" if step else "anew: no checkpoint was saved"
        lifecycle.record(job, RESUMED, message=f"Goes on {whence}.", step=step)


def started(job: Job) -> None:
    """The run is there."""
    tell_resumed(job)
    if lifecycle.move(job, Status.RUNNING) and job.stop_asked_at:
        stop_run(job)


def stop(job: Job, *, who: str) -> bool:
    """Stop a job: one that waits ends at once, one that runs is asked to; false if too late."""
    if _stop_waiting(job, who) or _stop_retry(job, who):
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
        only_from=(Status.QUEUED, Status.PAUSED),  # a worker may have begun to start it meanwhile
        who=who,
        reason=_not_running(job),
        ended_at=job.ended_at or timezone.now(),
    )


def _stop_retry(job: Job, who: str) -> bool:
    """Let a crash be the end, where the job would have gone on by itself."""
    with transaction.atomic():
        ended = Job.objects.filter(pk=job.pk, status__in=ENDED, retry_at__isnull=False)
        done = ended.update(retry_at=None, revision=F("revision") + 1)
        if done:
            lifecycle.record(job, "retry cancelled", who=who)
            for waiting in Job.objects.filter(after=job, status=Status.QUEUED):
                kick(waiting.machine_id)
    job.refresh_from_db()
    return bool(done)


def _not_running(job: Job) -> str:
    if job.status == Status.PAUSED:
        return f"Stopped while it was paused after step {job.step}."
    return "Stopped before it started."


def stop_run(job: Job) -> None:
    """Ask the run to end. Its verdict comes from the run directory, as for every other end."""
    if not job.is_active or job.stop_asked_at is None:
        return  # it ended meanwhile, or is another attempt, which nobody asked to stop
    try:
        runner_for(job.machine).stop(job.run_dir, settings.TRAINYARD_STOP_GRACE)
    except (Unreachable, RunnerUnsure) as error:
        # It may have arrived; it is asked again (see kick_stuck) until the run has ended.
        lifecycle.record_once(job, "stop unanswered", str(error), since=job.stop_asked_at)
    except RunnerError as error:
        lifecycle.record(job, "stop failed", message=str(error))
        lifecycle.touch(job, stop_asked_at=None)


def finish(job: Job, exit_code: int, error: str = "") -> None:
    """End a job by its exit code and the steps that its metrics show.

    ``error`` is what the run itself said last, told to the user when it failed.
    """
    if job.status == Status.STARTING:  # over before anyone saw it run
        tell_resumed(job)
    stop_asked = job.stop_asked_at is not None
    verdict = judge(exit_code, job.step, job.steps, stop_asked, paused_at(job), job.then_stop)
    if verdict.status != Status.FAILED:
        finish_as(job, Status(verdict.status), verdict.reason, exit_code=exit_code)
        return
    error = accounts.mask(error, job)
    reason = f"{verdict.reason} {error}" if error else verdict.reason
    crashed(job, Status.FAILED, reason, exit_code, error)


def paused_at(job: Job) -> int | None:
    """The step after which the run says it paused, with its checkpoint saved."""
    said = job.events.filter(kind="paused", source=Event.Source.RUN, attempt=job.attempt).last()
    return int(said.data["step"]) if said else None


def lose(job: Job, reason: str) -> None:
    crashed(job, Status.LOST, reason, None, "", only_from=(Status(job.status),))


def crashed(
    job: Job,
    status: Status,
    reason: str,
    exit_code: int | None,
    error: str,
    only_from: Collection[Status] = (),
) -> None:
    """End a job that broke; where its policy says so, it goes on later (see jobs.resuming)."""
    crash = Crash(job.step, job.resume_step or 0, exit_code, error)
    decision = Decision(None, "")
    if not (job.stop_asked_at or job.pause_asked_at):  # its end was wanted
        decision = decide(crash, job.last_error, job.retried, job.retries)
    again = timedelta(seconds=decision.wait) if decision.wait is not None else None
    finish_as(
        job,
        status,
        f"{reason} {decision.why}".strip(),
        exit_code=exit_code,
        last_error=crash.mark,
        retry_at=timezone.now() + again if again is not None else None,
        only_from=only_from,
    )


def finish_as(job: Job, status: Status, reason: str, **fields: Any) -> None:
    joint.take_down(job)  # first: its devices are given away again with the move
    lifecycle.move(job, status, reason=reason, ended_at=timezone.now(), **fields)


def rename(job: Job, name: str, *, who: str) -> None:
    if name != job.name:
        lifecycle.record(job, "renamed", who=who, message=f"from {job.name}")
        lifecycle.touch(job, name=name)
