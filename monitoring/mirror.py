"""Logs of runs on other machines, kept here as well: a page must not wait for a far machine."""

import logging
import shutil
from pathlib import Path

from django.conf import settings

from compute.machines.runners import is_cut
from compute.runners import rundir
from compute.runners.local.runner import LocalRunner
from jobs import events, lifecycle
from jobs.models import Job
from jobs.places import mirror_folder
from monitoring.models import Cursor

HERE = LocalRunner("", "/")  # only to read
log = logging.getLogger(__name__)


def log_file(job: Job, attempt: int | None = None) -> Path:
    """Where the log of an attempt is read from, by default of the newest: its run directory, or the
    copy here."""
    attempt = job.attempt if attempt is None else attempt
    if job.machine.is_local:
        return Path(job.machine.attempt_dir(job.uuid, attempt), rundir.LOG)
    return mirror_folder(job.uuid) / f"attempt-{attempt}" / rundir.LOG


def keep_log(job: Job, offset: int, data: bytes) -> None:
    """Put bytes of a far log in their place, as far as there is room for them here.

    The same bytes twice are harmless. After the first that found no room none is kept: there are no
    holes in what a page shows.
    """
    path = log_file(job)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        have = path.stat().st_size if path.exists() else 0
        room = _room(path, have) - offset
        if offset <= have and room > 0:
            with path.open("r+b" if have else "wb") as file:
                file.seek(offset)
                file.write(data[:room])
        if offset > have or room < len(data):
            since = job.started_at or job.created_at
            lifecycle.record_once(job, events.LOG_LEFT_OUT, words_of(job), since=since)
    except OSError as error:  # a full disk here must not keep the metrics out
        log.error("The log of %s cannot be kept: %s", job, error)


def _room(path: Path, have: int) -> int:
    """How large the copy may become: what a run may have in all its attempts, and the disk."""
    others = (other for other in path.parent.parent.glob(f"*/{rundir.LOG}") if other != path)
    left = settings.TRAINYARD_LARGEST_LOG - sum(other.stat().st_size for other in others)
    free = shutil.disk_usage(path.parent).free - settings.TRAINYARD_KEEP_FREE
    return min(left, have + max(0, free))


def left_out(job: Job) -> str:
    """A sentence when the copy here is not all that the log has; empty when it is."""
    if job.machine.is_local:
        return ""
    if is_cut(job.machine, job.run_dir):
        return words_of(job)
    cursor = Cursor.objects.filter(job=job, attempt=job.attempt, file=rundir.LOG).first()
    fact = HERE.stat(str(log_file(job)))
    cut = cursor is not None and cursor.offset > (fact.size if fact else 0)
    return words_of(job) if cut else ""


def words_of(job: Job) -> str:
    return (
        "Of the log only the beginning is kept here: it is longer than a log may be, or the disk "
        f"has no room. All of it is in {job.run_dir}/{rundir.LOG} on {job.machine}. Figures go on."
    )
