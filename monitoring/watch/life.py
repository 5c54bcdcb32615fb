"""Whether an active job lives: started, silent, stalled, or gone without a verdict."""

import time

from django.utils import timezone

from compute.runners import rundir
from jobs import events, lifecycle
from jobs.launch import end, start, wait
from jobs.models import Job, Status
from monitoring.readers.pace import is_stalled, step_time
from monitoring.watch.looks import Look

SILENT = 15.0  # seconds without a heartbeat before anyone looks at the processes
LOOK_AT_PROCESSES = 5.0  # seconds between two looks at the processes of one silent job
NEVER_STARTED = 120.0  # seconds in STARTING without a sign of a process

_looked: dict[int, float] = {}


def check_life(job: Job, look: Look) -> None:
    """See a start through, and find out when a run is silent or has vanished."""
    beat = rundir.read_heartbeat(look.small_file(job, rundir.HEARTBEAT))
    if beat is None:
        _check_start(job, look)
        return
    if job.status == Status.STARTING:
        start.started(job)
    # A beat from the future tells as little: the machine's clock went back since.
    if abs(look.now - beat) > SILENT:
        _lose_if_gone(job, look, "Its processes are gone and left no exit code.")
    elif job.silent_since:
        lifecycle.record(job, events.HEARD_AGAIN, message="Its wrapper gives signs of life again.")
        lifecycle.touch(job, silent_since=None)
    check_pace(job, look)


def check_pace(job: Job, look: Look) -> None:
    """Say once that a step takes three times as long as steps do."""
    if job.is_active and job.stalled_step != job.step and is_stalled(job.recent_steps, look.now):
        usual = step_time(job.recent_steps) or 0.0
        what = f"The step after {job.step} takes over three times the usual {usual:.1f} s."
        lifecycle.record(job, events.STALLED, message=what)
        lifecycle.touch(job, stalled_step=job.step)


def _check_start(job: Job, look: Look) -> None:
    """Either the run directory shows a process, or the job is lost. It starts again only where
    nothing has begun, and nothing can any more."""
    if job.started_at and (timezone.now() - job.started_at).total_seconds() < NEVER_STARTED:
        return
    starting = job.status == Status.STARTING
    never = "It never gave a sign of life after it was started."
    gone = "Its run directory is gone"
    _lose_if_gone(job, look, never if starting else f"{gone}, and so are its processes.", gone)


def _lose_if_gone(job: Job, look: Look, reason: str, fault: str = "Its wrapper is gone") -> None:
    """Look at the processes, which is slow, so not at every turn.

    The verdict is looked for last, and with a read of its own: it may have come while the
    processes were looked at.
    """
    if time.monotonic() < _looked.get(job.pk, 0) + LOOK_AT_PROCESSES:
        return
    _looked[job.pk] = time.monotonic()
    alive = look.runner.alive(job.run_dir)
    if alive.wrapper or alive.process:
        _is_silent(job, "Its wrapper gives no sign of life" if alive.wrapper else fault, alive.why)
        return
    if look.verdict_now(job) is not None:
        return
    if job.status == Status.STARTING and look.runner.bar(job.run_dir):
        wait.start_again(job, alive.why)
    else:
        reason = f"{reason} {alive.why}".strip()
        end.lose(job, f"{reason} The last step seen is {job.step} of {job.steps or '?'}.")


def _is_silent(job: Job, fault: str, why: str) -> None:
    if job.silent_since:
        return
    said = why or f"{fault}, but a process of the run lives."
    lifecycle.record(job, events.SILENT, message=said)
    lifecycle.touch(job, silent_since=timezone.now())
