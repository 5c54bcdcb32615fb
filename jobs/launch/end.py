"""Ending jobs: asked for by a user, or judged by what the run left."""

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from compute.runners.base import RunnerError, RunnerUnsure, Unreachable
from jobs import events, lifecycle, listeners
from jobs.artifacts.keeping import keep_products
from jobs.kinds.base import End, Verdict
from jobs.launch import joint
from jobs.launch.attempt import Attempt, tell_resumed
from jobs.models import ACTIVE, Job, Status
from jobs.trackers import accounts
from jobs.verl.retries import Crash, Decision, decide
from jobs.work import later

log = logging.getLogger(__name__)

# A run that ended so has measured what its estimate said; a crash may have come of anything.
TEACH = (Status.COMPLETED, Status.PAUSED, Status.STOPPED)


def stop(job: Job, *, who: str) -> bool:
    """Stop a job: one that waits ends at once, one that runs is asked to; false if too late."""
    if _stop_waiting(job, who) or lifecycle.cancel_retry(job, who=who):
        return True
    with transaction.atomic():
        asked = Job.objects.filter(pk=job.pk, status__in=ACTIVE, stop_asked_at=None).update(
            stop_asked_at=timezone.now(), revision=F("revision") + 1
        )
        if asked:
            lifecycle.record(job, events.STOP_ASKED, who=who)
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


def _not_running(job: Job) -> str:
    if job.status == Status.PAUSED:
        return f"Stopped while it was paused after step {job.step}."
    return "Stopped before it started."


def stop_run(job: Job) -> None:
    """Ask the run to end. Its verdict comes from the run directory, as for every other end."""
    if not job.is_active or job.stop_asked_at is None:
        return  # it ended meanwhile, or is another attempt, which nobody asked to stop
    try:
        Attempt.of(job).runner.stop(job.run_dir, settings.TRAINYARD_STOP_GRACE)
    except (Unreachable, RunnerUnsure) as error:
        # It may have arrived; it is asked again (see kick_stuck) until the run has ended.
        lifecycle.record_once(job, events.UNANSWERED["stop"], str(error), since=job.stop_asked_at)
    except RunnerError as error:
        lifecycle.record(job, events.NOT_ASKED["stop"], message=str(error))
        lifecycle.touch(job, stop_asked_at=None)


def finish(job: Job, exit_code: int, error: str = "", line: int | None = None) -> None:
    """End a job by its exit code and the steps that its metrics show.

    ``error`` is what broke it, told to the user when it failed; ``line`` is the byte of its log
    where the user's own code broke.
    """
    if job.status == Status.STARTING:  # over before anyone saw it run
        tell_resumed(job)
    ended = end_of(job, exit_code)
    verdict = judged(job, ended)
    if verdict.status != Status.FAILED:
        finish_as(job, Status(verdict.status), verdict.reason, exit_code=exit_code)
        if verdict.status == Status.COMPLETED:
            keep_products(job, ended.said)
            if listeners.want_completed(job):
                later("jobs.tasks.tell_completed", job.pk)
        return
    error = accounts.mask(error, job)
    reason = f"{verdict.reason} {error}" if error else verdict.reason
    if line is not None:
        lifecycle.record(job, events.OWN_ERROR, message=error, line=line)
    crashed(job, Status.FAILED, reason, exit_code, error)


def judged(job: Job, end: End) -> Verdict:
    """What its kind says of the end. A kind that fails at what a run told does not hold it up."""
    try:
        return job.job_kind.judge(job.spec_of_kind, end)
    except Exception:
        log.exception("The kind %s cannot judge the end of %s", job.kind, job)
        why = "What the run told of itself cannot be judged"
        return Verdict("failed", f"Exit code {end.exit_code} at step {end.step}. {why}.")


def end_of(job: Job, exit_code: int) -> End:
    """What is known of the end of a job's attempt."""
    return End(
        exit_code=exit_code,
        step=job.step,
        steps=job.steps,
        stop_asked=job.stop_asked_at is not None,
        then_stop=job.then_stop,
        said=job.events.said(job.attempt),
    )


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
    moved = lifecycle.move(job, status, reason=reason, ended_at=timezone.now(), **fields)
    if moved and job.gpus and status in TEACH:
        later("jobs.tasks.keep_outcome", job.pk)
