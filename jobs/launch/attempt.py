"""One attempt of a job: the job with the runner of its machine, made once and handed down."""

from dataclasses import dataclass

from compute.machines.runners import runner_for
from compute.runners.base import Runner
from jobs import events, lifecycle
from jobs.artifacts.story import known_of
from jobs.models import Job


@dataclass(frozen=True)
class Attempt:
    job: Job
    runner: Runner

    @classmethod
    def of(cls, job: Job) -> "Attempt":
        """The current attempt. The machine's paths must be settled by now."""
        return cls(job, runner_for(job.machine))


def tell_resumed(job: Job) -> None:
    """Said once the attempt has begun: one that never did is no part of the story.

    By whoever sees it first, who may be killed before it says so.
    """
    told = job.events.of_platform().filter(kind=events.RESUMED, attempt=job.attempt)
    if job.attempt > 1 and not told.exists():
        step = job.resume_step or 0
        lifecycle.record(job, events.RESUMED, message=f"Goes on {_whence(job, step)}.", step=step)


def _whence(job: Job, step: int) -> str:
    if step:
        return f"from the checkpoint of step {step}"
    return "anew: no checkpoint is used" if known_of(job) else "anew: no checkpoint was saved"
