"""Time limits of running jobs: a checkpoint is saved before the time is up."""

from datetime import timedelta

from jobs import lifecycle, resuming, services
from jobs.models import Job
from jobs.verl.limit import save_by


def keep_limit(job: Job, save_seconds: float | None) -> None:
    """Ask a job that nears its limit to save and end; stop it when it does not get there.

    ``save_seconds`` is the longest save seen so far, None when none was.
    """
    if job.max_seconds is None or job.elapsed is None or job.stop_asked_at:
        return
    spent = job.elapsed.total_seconds()
    if spent >= job.max_seconds:
        why = f"Its limit of {timedelta(seconds=job.max_seconds)} is over."
        lifecycle.record(job, "limit", message=why)
        services.stop(job, who="")
    elif spent >= save_by(job.max_seconds, job.seconds_per_step, save_seconds):
        why = f"Its limit of {timedelta(seconds=job.max_seconds)} is near: it saves and pauses."
        resuming.pause(job, who="", why=why)
