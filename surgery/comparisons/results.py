"""The comparison that a job made, from the machine where it lies."""

from compute.machines.runners import runner_for
from compute.runners.base import RunnerError
from jobs.models import Job, Status
from surgery.comparisons.findings import LARGEST, Findings, NotReadable, read_findings
from surgery.kinds.compare import FILE

PIECE = 2**20


def findings_of(job: Job) -> Findings:
    """Raises ``NotReadable`` with a sentence where there are none."""
    if job.status != Status.COMPLETED:
        raise NotReadable(
            f"The comparison is there once its job has completed: it is {job.stands}."
        )
    try:
        text = _read(job)
    except RunnerError as error:
        raise NotReadable(str(error)) from error
    if not text:
        raise NotReadable(f"There is no {FILE} in the run directory any more.")
    return read_findings(text)


def _read(job: Job) -> bytes:
    runner, path, found = runner_for(job.machine), f"{job.run_dir}/{FILE}", b""
    while len(found) <= LARGEST:
        piece = runner.read(path, len(found), PIECE)
        found += piece
        if len(piece) < PIECE:
            break
    return found
