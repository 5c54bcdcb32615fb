"""Follow a run: read on in its files, exactly once, and settle what it has become."""

import logging
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from compute.runners import rundir
from compute.runners.base import RunnerError
from jobs.checkpoints import list_checkpoints
from jobs.launch import end as ends
from jobs.limits import keep_limit, keep_rental
from jobs.measured import longest_saves
from jobs.models import Job
from monitoring.mirror import keep_log
from monitoring.models import Cursor, Series
from monitoring.readers.failure import last_error
from monitoring.readers.lines import Line, whole_lines
from monitoring.readers.pace import remember
from monitoring.watch.ingest import FILES, Save, save_log
from monitoring.watch.life import check_life
from monitoring.watch.looks import Look, look_at

log = logging.getLogger(__name__)
CHUNK = 1 << 20
LONGEST_LINE = 16 << 20
LOG_END = 256 * 1024  # where an error is looked for
FULL = 64 * 1024  # bytes that a full disk may still have, in the corner of a block


def follow(job: Job, look: Look | None = None) -> bool:
    """Read on in all files of an active job and settle its status; true when anything changed.

    The exit code is looked at first: whatever the run wrote before it is then in the files, so a
    job ends only after its last line was read.
    """
    look, before = look or look_at(job.machine, [job]), job.revision
    exit_code = rundir.read_exit_code(look.small_file(job, rundir.EXIT_CODE))
    for name, save in FILES.items():
        read_on(job, look, name, save)
    if job.listing_due or exit_code is not None:
        _list_checkpoints(job)
    if exit_code is not None:
        ends.finish(job, exit_code, _why(look, job) if exit_code else "")
    else:
        check_life(job, look)
        longest = _longest_save(job)
        keep_limit(job, longest)
        keep_rental(job, look.now, longest)
    return job.revision != before


def _list_checkpoints(job: Job) -> None:
    try:
        list_checkpoints(job)
    except RunnerError as error:  # a slow disk must not keep the verdict out
        log.warning("The checkpoints of %s cannot be listed: %s", job, error)


def _longest_save(job: Job) -> float | None:
    if job.max_seconds is None and job.machine.rental_ends_at is None:
        return None
    return longest_saves([job.pk]).get(job.pk)


def read_on(job: Job, look: Look, name: str, save: Save) -> None:
    """Read all whole lines after the cursor; what is saved and the cursor move together."""
    cursor = _cursor(job, name)
    path, limit = f"{job.run_dir}/{name}", CHUNK
    while data := look.reader.read(path, cursor.offset, limit):
        if name == rundir.LOG and not job.machine.is_local:
            keep_log(job, cursor.offset, data)
        lines, end = whole_lines(data, cursor.offset)
        if end > cursor.offset:
            cursor.offset = end
            _keep(job, look, cursor, lines, save)
        elif len(data) < limit:
            return  # the last line is still being written
        elif limit < LONGEST_LINE:
            limit *= 2
        else:  # no line of ours is that long: leave it out rather than hold it in memory
            cursor.offset += len(data)
            _keep(job, look, cursor, [], save)


def _cursor(job: Job, name: str) -> Cursor:
    wanted = {"job": job, "attempt": job.attempt, "file": name}
    return Cursor.objects.filter(**wanted).first() or Cursor(**wanted)


def _leave_other_story(job: Job, step: int) -> None:
    """Remove what an earlier attempt did after the checkpoint that this one went on from."""
    Point.objects.filter(job=job, step__gt=step).delete()
    for series in job.series.filter(last_step__gt=step):
        _end_at_last_point(series)


def _end_at_last_point(series: Series) -> None:
    last = series.points.last()
    if last is None:
        series.delete()
        return
    series.last_step, series.last_value = last.step, last.value
    series.save()


def _keep(job: Job, look: Look, cursor: Cursor, lines: list[Line], save: Save) -> None:
    row = Job.objects.filter(pk=job.pk)
    if cursor.file == rundir.LOG and not save_log(job, lines):
        cursor.save()  # pages read the log by themselves: nothing of the job has changed
        return
    written = _written_at(job, look) if cursor.file == rundir.METRICS else None
    with transaction.atomic():
        # First the revision: its row lock puts writers in order, so no viewer can have seen it.
        row.update(revision=F("revision") + 1)
        job.refresh_from_db()
        if written and cursor.pk is None and job.resume_step is not None:
            _leave_other_story(job, job.resume_step)
        changes = save(job, lines) if lines else {}
        if written and "step" in changes:
            changes |= _pace(job, int(str(changes["step"])), written)
        if changes:
            row.update(**changes)
        cursor.save()
    job.refresh_from_db()


def _written_at(job: Job, look: Look) -> datetime:
    """When the newest line of metrics was written, by its file."""
    fact = look.runner.stat(f"{job.run_dir}/{rundir.METRICS}")
    return datetime.fromtimestamp(fact.modified, UTC) if fact else timezone.now()


def _pace(job: Job, step: int, at: datetime) -> dict[str, object]:
    """When the newest steps were written, and the first such fact as the anchor."""
    anchor = {} if job.anchor_at else {"anchor_step": step, "anchor_at": at}
    recent = remember(job.recent_steps, step, at.timestamp())
    return {"step_at": at, "recent_steps": recent, **anchor}


def _why(look: Look, job: Job) -> str:
    """What a run that failed said last. On a full disk it could say nothing, so that is said."""
    said = _last_error(look, job)
    try:
        load = {} if said else look.runner.sample()
    except RunnerError:  # nothing is known of its disk, then
        load = {}
    is_full = load and load["disk_total"] - load["disk_used"] < FULL
    return f"The disk of {job.machine} is full." if is_full else said


def _last_error(look: Look, job: Job) -> str:
    path = f"{job.run_dir}/{rundir.LOG}"
    fact = look.runner.stat(path)
    start = max(0, fact.size - LOG_END) if fact else 0
    return last_error(look.runner.read(path, start, LOG_END).decode("utf-8", "replace"))
