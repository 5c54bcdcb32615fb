"""The long work of an import: reading what another tool wrote, and making jobs of it."""

import math
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from compute.machines.local import local_machine
from compute.runners import rundir
from compute.runners.text import readable
from jobs import events, lifecycle
from jobs.kinds.imported import Imported, ImportedSpec
from jobs.models import Job, Status
from monitoring.foreign import sources, unpacking
from monitoring.foreign.found import COMPLETED, FAILED, Run, flat, sentences
from monitoring.models import RunImport
from monitoring.series.frame import frame_of_column
from monitoring.store import points
from platform_site import paths
from platform_site.work import doing
from platform_site.work.doing import Progress, WorkFailed

LONGEST_NAME = 200
MOST_SETTINGS = 5_000
LONGEST_VALUE = 1_000
LARGEST_LOG = 1 << 30
PARTS_LEFT = "all but the first {:,} files of the archive"
ENDS = {
    COMPLETED: (Status.COMPLETED, "{} says that it was completed."),
    FAILED: (Status.FAILED, "{} says that it failed."),
}
DISK_FULL = (
    "The disk is full: {} of {} runs were kept. Free some space, delete the jobs that this import "
    "made, and import again."
)
NOT_TOLD = (Status.STOPPED, "How it ended is not told by {}.")


def work_off(work: RunImport) -> bool:
    """Do an import from waiting to its end; false when it is not there to be done."""
    if not doing.do(work, _import):
        return False
    if work.is_upload:
        unpacking.remove(work.folder)
        RunImport.objects.filter(pk=work.pk).update(path="")
    return True


def _import(work: RunImport) -> dict[str, Any]:
    try:
        found, left_out = _found(work)
        total = found.size
        progress, done = Progress(work), Counter[str]()

        def tell(count: int) -> None:
            done["bytes"] += count
            progress(min(done["bytes"], total), total)

        runs, more = sources.read(found, tell)
    except (ValueError, OSError) as error:
        raise WorkFailed(str(error)) from None
    if not runs:
        why = " ".join(sentences(more.items()))
        raise WorkFailed(f"No figure of any run could be read. {why}".strip())
    for number, run in enumerate(runs):
        progress.keep(done=total, total=total)
        name = (work.title if len(runs) == 1 else "") or run.name or work.name
        try:
            left_out += _keep(work, run, name)
        except (OSError, OperationalError) as error:
            if not _is_full(error):
                raise
            raise WorkFailed(DISK_FULL.format(number, len(runs))) from None
    return {"left_out": [*left_out, *sentences(more.items())], "done": total, "total": total}


def _is_full(error: OSError | OperationalError) -> bool:
    """Whether a disk has no room left; SQLite and PostgreSQL say so in words."""
    if isinstance(error, OSError):
        return error.errno in unpacking.FULL
    return any(words in str(error).lower() for words in ("is full", "no space left"))


def _found(work: RunImport) -> tuple[sources.Sources, list[str]]:
    left_out = list[str]()
    if not work.is_upload:
        # Looked at again: whose the files are may have changed since they were asked for.
        path = paths.open_to(work.owner, work.path)
        return sources.look(path, lambda folder: bool(paths.why_closed(folder, work.owner))), []
    path = Path(work.path)
    if unpacking.is_archive(path):
        folder = work.folder / "unpacked"
        folder.mkdir(parents=True)
        if not unpacking.unpack(path, folder, settings.TRAINYARD_LARGEST_UPLOAD):
            left_out = [f"Left out: {PARTS_LEFT.format(unpacking.MOST_MEMBERS)}."]
        path = folder
    return sources.look(path), left_out


def _keep(work: RunImport, run: Run, name: str) -> list[str]:
    """Make a job of a run, with all its points; sentences about what of it could not be kept."""
    clock, columns = run.clock, run.columns
    began, ended = _span(clock.values)
    last = max(column.last_step for column in columns.values())
    status, words = ENDS.get(run.status, NOT_TOLD)
    left_out = sentences(run.left_out.items())
    with transaction.atomic():
        job = Job.objects.create(
            name=readable(name)[:LONGEST_NAME], kind=Imported.slug, owner=work.owner,
            spec=ImportedSpec(run.tool, work.name, _settings(run)).to_json(),
            machine=local_machine(), status=status,
            reason=" ".join([words.format(run.tool), *left_out]),
            step=last, steps=last, step_at=ended, started_at=began, ended_at=ended,
        )  # fmt: skip
        frames = [frame_of_column(name, column) for name, column in columns.items()]
        points.append(job, frames, clock)
        lifecycle.record(job, events.IMPORTED, who=work.who, message=f"From {work.name}.")
        work.jobs.add(job)
    try:
        _keep_log(job, run)
    except OSError as error:  # the job is made: without its log it is still worth something
        (Path(job.run_dir) / rundir.LOG).unlink(missing_ok=True)
        return [f"The log of {job.name} could not be kept: {error.strerror}."]
    return []


def _span(times: Any) -> tuple[datetime | None, datetime | None]:
    """When the run began and ended, as far as its steps tell."""
    if not len(times):
        return None, timezone.now()
    return tuple(datetime.fromtimestamp(float(at), UTC) for at in (times.min(), times.max()))  # type: ignore[return-value]


def _settings(run: Run) -> dict[str, Any]:
    found = list(flat(run.config).items())[:MOST_SETTINGS]
    return {readable(name)[:LONGEST_NAME]: _short(value) for name, value in found}


def _short(value: Any) -> Any:
    """NaN and infinity become words: JSON, in which settings are kept, has no such numbers."""
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if value is None or is_number else readable(str(value)[:LONGEST_VALUE])


def _keep_log(job: Job, run: Run) -> None:
    """What the run printed, in the place where the log of any run lies."""
    folder = Path(job.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if run.log is not None and run.log.stat().st_size <= LARGEST_LOG:
        shutil.copyfile(run.log, folder / rundir.LOG)
