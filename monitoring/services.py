"""Follow a run: read on in its files, exactly once, and settle what it has become."""

import time
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from compute.runners import rundir
from compute.runners.base import Runner
from compute.services import runner_for
from jobs import services as jobs
from jobs.limits import keep_limit
from jobs.models import Job, Status
from monitoring.ingest import FILES, Save, save_log
from monitoring.models import Cursor, Point, Series
from monitoring.readers.failure import last_error
from monitoring.readers.lines import Line, whole_lines

CHUNK = 1 << 20
LONGEST_LINE = 16 << 20
LOG_END = 256 * 1024  # where an error is looked for
SILENT = 15.0  # seconds without a heartbeat before anyone looks at the processes
LOOK_AT_PROCESSES = 5.0  # seconds between two looks at the processes of one silent job
SAVE_TIME = "timing_s/save_checkpoint"
NEVER_STARTED = 120.0  # seconds in STARTING without a sign of a process


_looked: dict[int, float] = {}


def follow(job: Job) -> bool:
    """Read on in all files of an active job and settle its status; true when anything changed.

    The exit code is looked at first: whatever the run wrote before it is then in the files, so a
    job ends only after its last line was read.
    """
    runner, before = runner_for(job.machine), job.revision
    exit_code = rundir.read_exit_code(_small_file(runner, job, rundir.EXIT_CODE))
    for name, save in FILES.items():
        read_on(job, runner, name, save)
    if exit_code is not None:
        jobs.finish(job, exit_code, _last_error(runner, job) if exit_code else "")
    else:
        check_life(job, runner)
        keep_limit(job, _longest_save(job))
    return job.revision != before


def _longest_save(job: Job) -> float | None:
    if job.max_seconds is None:
        return None
    saves = Point.objects.filter(series__job=job, series__name=SAVE_TIME)
    longest: float | None = saves.aggregate(longest=Max("value"))["longest"]
    return longest


def read_on(job: Job, runner: Runner, name: str, save: Save) -> None:
    """Read all whole lines after the cursor; what is saved and the cursor move together."""
    cursor = _cursor(job, name)
    path, limit = f"{job.run_dir}/{name}", CHUNK
    while data := runner.read(path, cursor.offset, limit):
        lines, end = whole_lines(data, cursor.offset)
        if end > cursor.offset:
            cursor.offset = end
            _keep(job, runner, cursor, lines, save)
        elif len(data) < limit:
            return  # the last line is still being written
        elif limit < LONGEST_LINE:
            limit *= 2
        else:  # no line of ours is that long: leave it out rather than hold it in memory
            cursor.offset += len(data)
            _keep(job, runner, cursor, [], save)


def _cursor(job: Job, name: str) -> Cursor:
    wanted = {"job": job, "attempt": job.attempt, "file": name}
    known = Cursor.objects.filter(**wanted).first()
    if known is None and name == rundir.METRICS and job.resume_step is not None:
        _leave_other_story(job, job.resume_step)
    return known or Cursor.objects.create(**wanted)


def _leave_other_story(job: Job, step: int) -> None:
    """Remove what an earlier attempt did after the checkpoint that this one went on from."""
    with transaction.atomic():
        Job.objects.filter(pk=job.pk).update(revision=F("revision") + 1)
        Point.objects.filter(job=job, step__gt=step).delete()
        for series in job.series.filter(last_step__gt=step):
            _end_at_last_point(series)
    job.refresh_from_db()


def _end_at_last_point(series: Series) -> None:
    last = series.points.last()
    if last is None:
        series.delete()
        return
    series.last_step, series.last_value = last.step, last.value
    series.save()


def _keep(job: Job, runner: Runner, cursor: Cursor, lines: list[Line], save: Save) -> None:
    row = Job.objects.filter(pk=job.pk)
    if cursor.file == rundir.LOG and not save_log(job, lines):
        cursor.save()  # pages read the log by themselves: nothing of the job has changed
        return
    with transaction.atomic():
        # First the revision: its row lock puts writers in order, so no viewer can have seen it.
        row.update(revision=F("revision") + 1)
        job.refresh_from_db()
        changes = save(job, lines) if lines else {}
        if "step" in changes:
            changes |= _pace(job, runner, changes["step"])
        if changes:
            row.update(**changes)
        cursor.save()
    job.refresh_from_db()


def _pace(job: Job, runner: Runner, step: object) -> dict[str, object]:
    """When the newest step was written, by its file, and the first such fact as the anchor."""
    fact = runner.stat(f"{job.run_dir}/{rundir.METRICS}")
    at = datetime.fromtimestamp(fact.modified, UTC) if fact else timezone.now()
    anchor = {} if job.anchor_at else {"anchor_step": step, "anchor_at": at}
    return {"step_at": at, **anchor}


def check_life(job: Job, runner: Runner) -> None:
    """See a start through, and find out when a run has vanished without a verdict."""
    beat = rundir.read_heartbeat(_small_file(runner, job, rundir.HEARTBEAT))
    if beat is None:
        _check_start(job, runner)
        return
    if job.status == Status.STARTING:
        jobs.started(job)
    if time.time() - beat > SILENT:
        _lose_if_gone(job, runner, "Its processes are gone and left no exit code.")


def _check_start(job: Job, runner: Runner) -> None:
    """Never start it again: either the run directory shows a process, or the job is lost."""
    if job.started_at and (timezone.now() - job.started_at).total_seconds() < NEVER_STARTED:
        return
    starting = job.status == Status.STARTING
    never = "It never gave a sign of life after it was started."
    _lose_if_gone(job, runner, never if starting else "Its run directory and processes are gone.")


def _lose_if_gone(job: Job, runner: Runner, reason: str) -> None:
    """Look at the processes, which is slow, so not at every turn.

    The verdict is looked for last: it may have come while the processes were looked at.
    """
    if time.monotonic() < _looked.get(job.pk, 0) + LOOK_AT_PROCESSES:
        return
    _looked[job.pk] = time.monotonic()
    alive = runner.alive(job.run_dir)
    if alive.wrapper or alive.process:
        return
    if not _small_file(runner, job, rundir.EXIT_CODE):
        jobs.lose(job, f"{reason} The last step seen is {job.step} of {job.steps or '?'}.")


def _last_error(runner: Runner, job: Job) -> str:
    path = f"{job.run_dir}/{rundir.LOG}"
    fact = runner.stat(path)
    start = max(0, fact.size - LOG_END) if fact else 0
    return last_error(runner.read(path, start, LOG_END).decode("utf-8", "replace"))


def _small_file(runner: Runner, job: Job, name: str) -> str | None:
    data = runner.read(f"{job.run_dir}/{name}", 0, 200)
    return data.decode("ascii", "replace") if data else None
