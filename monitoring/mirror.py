"""Logs of runs on other machines, kept here as well: a page must not wait for a far machine."""

import logging
from pathlib import Path

from django.conf import settings

from compute.runners import rundir
from compute.runners.local import LocalRunner
from jobs.models import Job

HERE = LocalRunner("", "/")  # only to read
log = logging.getLogger(__name__)


def log_file(job: Job) -> Path:
    """Where the log of the job's attempt is read from: its run directory, or the copy here."""
    if job.machine.is_local:
        return Path(job.run_dir, rundir.LOG)
    folder = settings.TRAINYARD_HOME / "mirror" / str(job.uuid) / f"attempt-{job.attempt}"
    return Path(folder, rundir.LOG)


def keep_log(job: Job, offset: int, data: bytes) -> None:
    """Put bytes of a far log in their place. The same bytes twice are harmless."""
    path = log_file(job)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "wb") as file:
            file.seek(offset)
            file.write(data)
    except OSError as error:  # a full disk here must not keep the metrics out
        log.error("The log of %s cannot be kept: %s", job, error)
