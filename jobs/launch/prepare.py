"""All that comes before the start of an attempt: the checkpoint, the data, the command."""

from compute.runners.base import Launch, RunnerError, RunnerUnsure
from jobs import events, lifecycle
from jobs.checkpoints import Chosen, choose
from jobs.files import parents
from jobs.files.shipping import shipped
from jobs.launch.attempt import Attempt
from jobs.launch.command import build
from jobs.models import Job
from jobs.provenance.keeping import keep_start
from jobs.queue.spreading import misspread
from jobs.starting import still_starting
from jobs.trackers import accounts


def prepare(attempt: Attempt) -> Launch:
    """What the runner needs to start the attempt. Raises ``RunnerError`` where it cannot start."""
    job, runner = attempt.job, attempt.runner
    try:
        parents.settle_model(job)
        if job.attempt > 1:
            go_on_from(job, choose(job, runner, job.resume_step))
        if reason := misspread(job.machine, job.spec_of_kind):
            raise RunnerError(reason)
        spec = shipped(job, runner)
    except RunnerUnsure as error:  # nothing was started yet
        raise RunnerError(str(error)) from error
    command = build(job, spec)
    job.command = command.to_json()
    keep_start(job)
    secrets = accounts.environment(job.spec_of_kind, job.owner)
    gpus = job.job_kind.devices_at_start(spec)
    return Launch(job.run_dir, command.argv, command.env, secrets, gpus)


def go_on_from(job: Job, chosen: Chosen) -> None:
    """Let the attempt begin with a checkpoint; without any, at the beginning."""
    for refusal in chosen.refused:
        lifecycle.record(job, events.CHECKPOINT_REFUSED, message=refusal)
    saved = chosen.saved
    step, folder = (saved.step, saved.folder) if saved else (0, "")
    still_starting(job, resume_from=folder, resume_step=step, step=step)
