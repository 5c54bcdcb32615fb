"""Time limits of running jobs: a checkpoint is saved before the time is up."""

import time
from datetime import timedelta

from compute.models import when
from compute.rental import NEAR
from jobs import events, lifecycle, resuming
from jobs.launch import end
from jobs.models import Job, Status
from jobs.verl.limit import rental_margin, rental_now, save_by


def keep_limit(job: Job, save_seconds: float | None) -> None:
    """Ask a job that nears its limit to save and end; stop it when it does not get there.

    ``save_seconds`` is the longest save seen so far, None when none was.
    """
    if job.max_seconds is None or job.elapsed is None or job.stop_asked_at:
        return
    spent = job.elapsed.total_seconds()
    if spent >= job.max_seconds:
        why = f"Its limit of {timedelta(seconds=job.max_seconds)} is over."
        lifecycle.record(job, events.LIMIT, message=why)
        end.stop(job, who="")
    elif spent >= save_by(job.max_seconds, job.seconds_per_step, save_seconds):
        why = f"Its limit of {timedelta(seconds=job.max_seconds)} is near: it saves and pauses."
        resuming.pause(job, who="", why=why)


def keep_rental(job: Job, clock: float, save_seconds: float | None) -> None:
    """Ask a run to save and pause before the rental of its machine ends, or say that it cannot.

    ``clock`` is the machine's own, in epoch seconds.
    """
    ends_at = job.machine.rental_ends_at
    if ends_at is None or job.status != Status.RUNNING or job.stop_asked_at:
        return
    left = ends_at.timestamp() - rental_now(time.time(), clock)
    ends = f"The rental of {job.machine} {'ends' if left > 0 else 'ended'} at {when(ends_at)}"
    margin = rental_margin(job.seconds_per_step, save_seconds)
    if left <= max(NEAR.total_seconds(), margin.seconds) and job.cannot_save:
        _tell(
            job, f"{ends}. This run cannot save before it: {job.cannot_save}", ends_at.isoformat()
        )
    elif left <= margin.seconds:
        resuming.pause(job, who="", why=f"{ends}: it saves and pauses. {margin.words}")


def _tell(job: Job, message: str, ends: str) -> None:
    """Once for each end that the rental has had."""
    if not job.events.of_platform().filter(kind=events.RENTAL, data__ends=ends).exists():
        lifecycle.record(job, events.RENTAL, message=message, ends=ends)
        lifecycle.touch(job)
