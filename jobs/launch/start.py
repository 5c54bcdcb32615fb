"""Starting claimed jobs, each by one attempt."""

import logging

from django.db import transaction

from compute.machines.paths import settle_paths
from compute.runners.base import RunnerError, RunnerUnsure, Unreachable
from jobs import events, lifecycle
from jobs.launch import joint
from jobs.launch.attempt import Attempt, tell_resumed
from jobs.launch.end import finish_as, stop_run
from jobs.launch.prepare import prepare
from jobs.launch.wait import stop_before_start, wait_for_machine, wait_in_line
from jobs.models import Job, Status
from jobs.queue import claims
from jobs.starting import Overtaken, still_starting
from jobs.trackers.accounts import TrackerError
from platform_site.work.process import start_process

log = logging.getLogger(__name__)


def launch_queued(machine_id: int) -> None:
    """Start all jobs that can start. A start that takes long gets a process of its own."""
    while job := claim_next(machine_id):
        if job.machine.is_local and job.attempt == 1:
            launch(job)
        else:
            spawn_launch(job)


def spawn_launch(job: Job) -> None:
    """Launch in a process of its own: a task may take two minutes only, and sending data longer."""
    start_process("launch", str(job.pk))


def claim_next(machine_id: int) -> Job | None:
    """Claim the next job that fits, if there is one: see ``claims.claim``."""
    with transaction.atomic():
        return claims.claim(claims.locked(machine_id))


def launch(job: Job) -> None:
    """Start a claimed job. When it is unsure whether that worked, the run directory will tell."""
    try:
        settle_paths(job.machine)
        attempt = Attempt.of(job)
        made = prepare(attempt)
        still_starting(job, command=job.command, reason="")
        if closed := job.machine.rental_closes:  # sending its data may have taken hours
            wait_in_line(job, closed)
            return
        made = joint.bring_up(job, made)
        attempt.runner.launch(made)
    except Overtaken:
        stop_before_start(job)
    except Unreachable as error:
        wait_for_machine(job, error)
    except RunnerUnsure as error:
        lifecycle.record(job, events.LAUNCH_UNSURE, message=str(error))
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


def started(job: Job) -> None:
    """The run is there."""
    tell_resumed(job)
    if lifecycle.move(job, Status.RUNNING) and job.stop_asked_at:
        stop_run(job)
