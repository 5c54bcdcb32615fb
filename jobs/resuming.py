"""Pause, save, resume, retry: a run that ends on purpose, or goes on in a new attempt."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Now
from django.utils import timezone

from compute.machines.runners import runner_for
from compute.runners.base import Request, RunnerError, RunnerUnsure, Unreachable
from jobs import events, lifecycle
from jobs.models import CAN_RESUME, Job, Status
from jobs.queue import claims, held
from jobs.work import later

ASK_AGAIN = timedelta(seconds=60)  # a worker may have died before it left the request


class NotResumed(Exception):
    """A job stays as it is. The message is a sentence for the user."""


def pause(job: Job, *, who: str, then_stop: bool = False, why: str = "") -> bool:
    """Ask a run to save after its current step and end; false when that cannot be asked.

    ``then_stop`` makes its end STOPPED instead of PAUSED. A run that does its last step meanwhile
    is completed.
    """
    if job.cannot_save:
        return False
    with transaction.atomic():
        asked = Job.objects.filter(
            pk=job.pk, status=Status.RUNNING, pause_asked_at=None, stop_asked_at=None
        ).update(pause_asked_at=Now(), then_stop=then_stop, revision=F("revision") + Value(1))
        if asked:
            kind = events.STOP_ASKED if then_stop else events.PAUSE_ASKED
            lifecycle.record(job, kind, who=who, message=why or "It saves after this step.")
            later("jobs.tasks.ask_to_pause", job.pk)
    job.refresh_from_db()
    return bool(asked)


def save_now(job: Job, *, who: str) -> bool:
    """Ask a run for a checkpoint after its current step; it goes on. False when it cannot be."""
    if job.status != Status.RUNNING or job.cannot_save:
        return False
    with transaction.atomic():
        lifecycle.record(job, events.SAVE_ASKED, who=who)
        lifecycle.touch(job)
        later("jobs.tasks.ask_to_save", job.pk)
    return True


def ask_run(job: Job, what: Request) -> None:
    """Leave the request with the run. What becomes of it is read from the run directory."""
    if job.status != Status.RUNNING or (what == "pause" and job.pause_asked_at is None):
        return  # it ended meanwhile, or is another attempt
    try:
        runner_for(job.machine).ask(job.run_dir, what)
    except (Unreachable, RunnerUnsure) as error:
        # A pause is asked again (see ask_again); a save that may have arrived is not.
        lifecycle.record_once(job, events.UNANSWERED[what], str(error), since=job.pause_asked_at)
    except RunnerError as error:
        lifecycle.record(job, events.NOT_ASKED[what], message=str(error))
        if what == "pause":
            lifecycle.touch(job, pause_asked_at=None, then_stop=False)


def resume(job: Job, *, who: str, step: int | None = None, why: str = "") -> bool:
    """Queue a job that ended early again, as a new attempt; false when somebody was first.

    ``step`` is that of the checkpoint to go on from; None takes the newest that is whole, which is
    found out when the attempt starts (see ``jobs.checkpoints.choose``). Raises ``NotResumed`` where
    what the job reads is being deleted.
    """
    if not job.can_resume:
        return False
    spent = job.elapsed.total_seconds() if job.elapsed else 0.0
    with transaction.atomic():
        held.lock(job.spec_of_kind, job.machine)
        if reason := held.being_deleted(job.spec_of_kind, job.machine):
            raise NotResumed(reason)
        queued = lifecycle.move(
            job,
            Status.QUEUED,
            only_from=CAN_RESUME,
            who=who,
            reason=why,
            attempt=F("attempt") + 1,
            resume_step=step,
            seconds_before=spent,
            retried=F("retried") + (1 if why else 0),
            **claims.joining(),
            **FRESH,
        )
        if queued:
            claims.take_turn(job)
    return queued


# What belongs to one attempt only.
FRESH: dict[str, Any] = {
    "command": None, "resume_from": "", "exit_code": None, "started_at": None, "ended_at": None,
    "stop_asked_at": None, "pause_asked_at": None, "then_stop": False, "retry_at": None,
    "step_at": None, "anchor_step": None, "anchor_at": None, "recent_steps": [],
    "stalled_step": None, "silent_since": None,
}  # fmt: skip


def retry_due() -> None:
    """Let what crashed go on, where its policy says so and its wait is over."""
    due = Job.objects.filter(retry_at__lte=timezone.now(), status__in=CAN_RESUME)
    for job in due.select_related("machine", "owner"):
        try:
            resume(job, who="", why=f"Retry {job.retried + 1} of {job.retries}.")
        except NotResumed as error:
            lifecycle.cancel_retry(job, why=str(error))


def ask_again() -> None:
    """Pause requests that should have been seen by now: leaving one twice is harmless."""
    asked = {"status": Status.RUNNING, "pause_asked_at__lt": timezone.now() - ASK_AGAIN}
    for job in Job.objects.filter(**asked, machine__unreachable_since=None):
        later("jobs.tasks.ask_to_pause", job.pk)
