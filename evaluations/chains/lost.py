"""Jobs whose machine went away beneath a chain, as by a restart: they go on by themselves."""

from evaluations.chains.models import Part
from jobs import resuming
from jobs.models import Job, Status

# Losses of one job. After more it may be the job that takes its machine down.
MOST_LOST = 3
WHY = "It was lost with its machine: the chain lets it go on."


def may_go_on(part: Part) -> bool:
    """Whether the job of a part was lost, and is to go on."""
    is_open = not part.is_done and not part.failure
    return is_open and part.job is not None and _was_lost(part.job)


def goes_on(job: Job) -> bool:
    """Let a job that was lost go on; false where it does not."""
    try:
        return resuming.resume(job, who="", why=WHY)
    except resuming.NotResumed:
        return False  # the chain ends with the job's own reason


def _was_lost(job: Job) -> bool:
    """And nobody wanted its end, nor has it retries of its own, which go on until they are used up
    or called off."""
    unwanted = job.stop_asked_at is None and job.pause_asked_at is None
    if job.status != Status.LOST or job.retries or not unwanted or not job.can_resume:
        return False
    return job.events.filter(kind=Status.LOST).count() <= MOST_LOST
