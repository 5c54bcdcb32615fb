"""Compare the settings of jobs."""

from collections.abc import Sequence

from django.conf import settings

from jobs.launch import command
from jobs.models import Job
from jobs.verl.diff import Row, Run, compare, run_of
from jobs.verl.spec import TrainSpec

MOST = 200  # jobs; a page shows as many over each other


def compare_jobs(jobs: Sequence[Job]) -> list[Row]:
    """One row for each setting of any of the jobs, the important ones first."""
    return compare([_run(job) for job in jobs])


def _run(job: Job) -> Run:
    kind, spec = job.job_kind, job.spec_of_kind
    if not kind.has_recipes:
        return Run(TrainSpec(job.kind), others=kind.values(spec))
    try:
        known = command.command_of(job).settings
    except (KeyError, ValueError):
        known = ()  # a draft whose settings make no command any more
    return run_of(spec, known, settings.TRAINYARD_VERL_SCHEMA)
