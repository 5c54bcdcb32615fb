"""A claimed job that was not started: back into the line, tried again, or stopped."""

from django.db.models import F

from compute.machines.reachability import mark_unreachable
from compute.runners.base import Unreachable
from jobs import events, lifecycle
from jobs.launch import joint
from jobs.launch.end import finish_as, lose
from jobs.models import Job, Status

MOST_CUT_OFF = 5  # starts; after that, something about this job kills whoever starts it


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
    if job.events.of_platform().filter(kind=events.CUT_OFF).count() >= MOST_CUT_OFF:
        lose(job, f"Its start was cut off again and again before anything was started. {why}")
        return
    joint.take_down(job)
    why = why or "Whoever started it was gone before anything was started."
    lifecycle.record(job, events.CUT_OFF, message=why)
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
