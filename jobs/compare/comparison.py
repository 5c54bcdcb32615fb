"""Compare the settings of jobs."""

from collections.abc import Sequence

from django.conf import settings

from jobs.launch import command
from jobs.models import Job
from jobs.verl.diff import Row, Run, compare, run_of

MOST = 6  # the most columns that fit on a screen


def compare_jobs(jobs: Sequence[Job]) -> list[Row]:
    """One row for each setting of any of the jobs, the important ones first."""
    return compare([_run(job) for job in jobs])


def _run(job: Job) -> Run:
    try:
        known = command.command_of(job).settings
    except (KeyError, ValueError):
        known = ()  # a draft whose settings no longer make a command
    return run_of(job.train_spec, known, settings.TRAINYARD_VERL_SCHEMA)
