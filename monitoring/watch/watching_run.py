"""Watches a run: reads on in its files, exactly once, and settles what it has become."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from django.db import DatabaseError, DataError, transaction
from django.db.models import F
from django.utils import timezone

from compute.runners import rundir
from compute.runners.base import RunnerError, Unreachable
from compute.runners.text import bounded
from jobs import events, lifecycle
from jobs.checkpoints import list_checkpoints
from jobs.launch import end as ends
from jobs.limits import keep_limit, keep_rental
from jobs.measured import longest_saves
from jobs.models import Job
from monitoring.copies import keep_answers
from monitoring.mirror import keep_log
from monitoring.models import Cursor
from monitoring.readers.failure import Cause, find_cause
from monitoring.readers.lines import Line, whole_lines
from monitoring.store import points
from monitoring.watch.columns import make_columns
from monitoring.watch.ingest import FILES, Kept, Save, save_log
from monitoring.watch.life import check_life
from monitoring.watch.looks import Look, look_at

log = logging.getLogger(__name__)
CHUNK = 1 << 20
LARGEST_CHUNK = 8 << 20  # of a file that is far ahead of us
LONGEST_LINE = 16 << 20
STATE = {rundir.EVENTS, rundir.LOG}  # files whose lines change what a page says of the job
LOG_END = 2 << 20  # bytes where an error is looked for: many answers may have failed before it
SHOWN = 200  # characters of a line that cannot be read
PATIENCE = 30.0  # seconds after a run's end in which each of its files must become readable
FULL = 64 * 1024  # bytes that a full disk may still have, in the corner of a block


def watch(job: Job, look: Look | None = None) -> bool:
    """Read on in all files of an active job and settle its status; true when anything changed.

    The exit code is read first, and the other files after it. So they have everything that the run
    wrote before it ended, and a job ends only after its last line was read. A file that cannot be
    read holds up neither the others nor, for long, the end.
    """
    look, before, step = look or look_at(job.machine, [job]), job.revision, job.step
    exit_code = rundir.read_exit_code(look.small_file(job, rundir.EXIT_CODE))
    news, faults = _read_all(job, look)
    if news:
        job.refresh_from_db()
    if faults and exit_code is not None:
        _give_up_on(job, look, faults)
    _keep_answers(job, look, is_new=job.step != step, is_over=exit_code is not None)
    if job.listing_due or exit_code is not None:
        _list_checkpoints(job, is_over=exit_code is not None)
    if exit_code is not None:
        points.settle(job)
        cause = _why(look, job) if exit_code else Cause()
        ends.finish(job, exit_code, cause.text, cause.start)
    else:
        check_life(job, look)
        longest = _longest_save(job)
        keep_limit(job, longest)
        keep_rental(job, look.now, longest)
        for fault in faults.values():
            raise fault
    return news or job.revision != before


def _keep_answers(job: Job, look: Look, *, is_new: bool, is_over: bool) -> None:
    keep_answers(job, look.runner, is_new=is_new, is_over=is_over)
    if is_new or is_over:
        make_columns(job)


def _read_all(job: Job, look: Look) -> tuple[bool, dict[str, Exception]]:
    """Read on in all files: whether there is anything new, and what kept any of them from it."""
    has_news, faults = False, dict[str, Exception]()
    for name, save in FILES.items():
        try:
            has_news |= read_on(job, look, name, save)
        except Unreachable:
            raise
        except DatabaseError as error:
            if not isinstance(error, DataError):  # that one refuses what the run wrote
                raise
            faults[name] = error
        except Exception as error:  # whatever a run wrote, it does not keep its end out
            faults[name] = error
    return has_news, faults


def _give_up_on(job: Job, look: Look, faults: Mapping[str, Exception]) -> None:
    """Let a run end without the files that cannot be read. Raises what was wrong while it may yet
    pass: a disk may be slow, and what is not read now is never read."""
    ended = look.runner.stat(f"{job.run_dir}/{rundir.EXIT_CODE}")
    if ended and abs(look.now - ended.modified) < PATIENCE:
        for fault in faults.values():
            raise fault
    for name, fault in faults.items():
        log.error("%s of %s is left out", name, job, exc_info=fault)
        said = str(fault) if isinstance(fault, RunnerError) else "What is in it cannot be read."
        message = f"{name} was not read to its end. {said}"
        lifecycle.record(job, events.LINES_LEFT_OUT, message=message, file=name)


def _list_checkpoints(job: Job, *, is_over: bool) -> None:
    try:
        list_checkpoints(job, is_over=is_over)
    except RunnerError as error:  # a slow disk must not keep the verdict out
        log.warning("The checkpoints of %s cannot be listed: %s", job, error)


def _longest_save(job: Job) -> float | None:
    if job.max_seconds is None and job.machine.rental_ends_at is None:
        return None
    return longest_saves([job.pk]).get(job.pk)


def read_on(job: Job, look: Look, name: str, save: Save) -> bool:
    """Read all whole lines after the cursor; what is saved and the cursor move together.

    True when there was anything for a page to show.
    """
    cursor, has_news = _cursor(job, name), False
    path, limit = f"{job.run_dir}/{name}", CHUNK
    while data := look.reader.read(path, cursor.offset, limit):
        if name == rundir.LOG and not job.machine.is_local:
            keep_log(job, cursor.offset, data)
        lines, end = whole_lines(data, cursor.offset)
        is_full = len(data) >= limit
        if end > cursor.offset:
            cursor.offset = end
            has_news |= _keep(job, look, cursor, lines, save)
            limit = min(2 * limit, LARGEST_CHUNK) if is_full else limit
        elif not is_full:
            break  # the last line is still being written
        elif limit < LONGEST_LINE:
            limit *= 2
        else:  # no line of ours is that long: leave it out rather than hold it in memory
            cursor.offset += len(data)
            has_news |= _keep(job, look, cursor, [], save)
    return has_news


def _cursor(job: Job, name: str) -> Cursor:
    wanted = {"job": job, "attempt": job.attempt, "file": name}
    return Cursor.objects.filter(**wanted).first() or Cursor(**wanted)


def _keep(job: Job, look: Look, cursor: Cursor, lines: list[Line], save: Save) -> bool:
    """Save lines and move the cursor behind them; true when a page has something to show."""
    is_metrics, is_state = cursor.file == rundir.METRICS, cursor.file in STATE
    if cursor.file == rundir.LOG and not save_log(job, lines, timezone.now).changes:
        cursor.save()  # pages read the log by themselves: nothing of the job has changed
        return False
    with transaction.atomic():
        if is_metrics and cursor.pk is None and job.resume_step is not None:
            # The new attempt starts at this checkpoint: the points after it do not count.
            points.rewind(job, job.resume_step)
        kept = save(job, lines, lambda: _written_at(job, look)) if lines else Kept()
        changes = kept.changes
        _count_broken(job, cursor, kept.broken)
        if is_state or kept.broken or (job.is_stalled and "step" in changes):
            Job.objects.filter(pk=job.pk).update(revision=F("revision") + 1, **changes)
        elif changes:
            Job.objects.filter(pk=job.pk).update(**changes)
        cursor.save()
    for name, value in changes.items():
        setattr(job, name, value)
    return True


def _count_broken(job: Job, cursor: Cursor, broken: Sequence[Line]) -> None:
    """Count the lines that were left out; the first of a file is told by an event as well."""
    if broken and not cursor.broken:
        first = broken[0]
        cursor.first_broken = first.position
        said = bounded(first.text[:SHOWN])
        what = f"The line at byte {first.position} of {cursor.file} cannot be read: {said}"
        lifecycle.record(job, events.LINES_LEFT_OUT, message=what, file=cursor.file)
    cursor.broken += len(broken)


def _written_at(job: Job, look: Look) -> datetime:
    """When the newest line of metrics was written, by its file."""
    fact = look.runner.stat(f"{job.run_dir}/{rundir.METRICS}")
    return datetime.fromtimestamp(fact.modified, UTC) if fact else timezone.now()


def _why(look: Look, job: Job) -> Cause:
    """What broke a run, by its log, or that its disk is full, where it could write nothing."""
    found = Cause()
    try:
        found = _cause(look, job)
        load = {} if found.text else look.runner.sample()
    except Unreachable:
        raise
    except RunnerError:  # nothing is known of its log, or of its disk
        load = {}
    is_full = load and load["disk_total"] - load["disk_used"] < FULL
    return Cause(f"The disk of {job.machine} is full.") if is_full else found


def _cause(look: Look, job: Job) -> Cause:
    path = f"{job.run_dir}/{rundir.LOG}"
    fact = look.runner.stat(path)
    start = max(0, fact.size - LOG_END) if fact else 0
    return find_cause(look.runner.read(path, start, LOG_END), start)
