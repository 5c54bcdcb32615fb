"""Answers of runs on other machines, kept here as well: they come over as the run writes them.

On a Ray cluster the run's own log brings them; here are those that are read by SSH.
"""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from compute.machines.runners import is_cut
from compute.runners.base import FileFact, Runner, RunnerError, Unreachable
from jobs.models import Job
from jobs.places import mirror_folder
from monitoring.answers.files import MOST_FILES, NAME
from platform_site.counts import size_text

FOLDERS = ("rollouts", "validation")
CHUNK = 4 << 20  # bytes of one question
BRIEF, LAST = 2.0, 30.0  # seconds of one look at a run, and of the last one
CUT, BEHIND = ".answers-cut", ".answers-behind"
SAME = 1e-3  # seconds
log = logging.getLogger(__name__)


class NoRoom(Exception):
    """What is here of the run's answers may not become more."""


class NoTime(Exception):
    """The rest comes with the next look."""


def keep_answers(job: Job, runner: Runner, *, is_new: bool, is_over: bool) -> None:
    """Bring here what is new of a far run's answers, when it did a step, or some were left.

    Nothing but the connection's end keeps the run's other files waiting. Raises ``Unreachable``.
    """
    if job.machine.is_local or job.machine.is_ray or not job.job_kind.writes_answers:
        return
    folder = mirror_folder(job.uuid)
    if not (is_new or is_over or (folder / BEHIND).exists()):
        return
    until = time.monotonic() + (LAST if is_over else BRIEF)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _note(folder / BEHIND, False)
        _bring(job, runner, folder, until)
    except NoTime:
        _note(folder / (CUT if is_over else BEHIND), True)
    except NoRoom:
        _note(folder / CUT, True)
    except Unreachable:
        raise
    except (RunnerError, OSError) as error:
        log.warning("The answers of %s cannot be brought here: %s", job, error)


def _note(path: Path, is_so: bool) -> None:
    if is_so:
        path.touch()
    else:
        path.unlink(missing_ok=True)


def _bring(job: Job, runner: Runner, folder: Path, until: float) -> None:
    room, has_brought = _room(folder), False
    for kind in FOLDERS:
        here = folder / f"attempt-{job.attempt}" / kind
        for fact in _facts(runner, f"{job.run_dir}/{kind}"):
            for size in _grow(runner, f"{job.run_dir}/{kind}/{fact.path}", here / fact.path, fact):
                room -= size
                if room < 0:
                    raise NoRoom
                if has_brought and time.monotonic() > until:
                    raise NoTime
                has_brought = True


def _facts(runner: Runner, folder: str) -> list[FileFact]:
    """The files of steps, the first step first."""
    found = [fact for fact in runner.files(folder) if NAME.fullmatch(fact.path)]
    return sorted(found, key=lambda fact: int(fact.path.partition(".")[0]))[:MOST_FILES]


def _room(folder: Path) -> int:
    """Bytes that may yet come: of what a run may have here, and of the disk."""
    kept = (path for kind in FOLDERS for path in folder.glob(f"attempt-*/{kind}/*.jsonl"))
    left = settings.TRAINYARD_LARGEST_LOG - sum(path.stat().st_size for path in kept)
    return min(left, shutil.disk_usage(folder).free - settings.TRAINYARD_KEEP_FREE)


def _grow(runner: Runner, path: str, here: Path, fact: FileFact) -> Iterator[int]:
    """Read on where the copy ends: before each part, how many bytes it has. A file that was written
    anew is read from its beginning. A copy that is whole has the file's own time."""
    facts = here.stat() if here.exists() else None
    have = facts.st_size if facts else 0
    is_same = facts is not None and abs(facts.st_mtime - fact.modified) < SAME
    if have > fact.size or (have == fact.size and facts and not is_same):
        here.unlink()
        have = 0
    while have < fact.size:
        yield min(CHUNK, fact.size - have)
        data = runner.read(path, have, min(CHUNK, fact.size - have))
        if not data:
            return
        here.parent.mkdir(parents=True, exist_ok=True)
        with here.open("ab") as file:
            file.write(data)
        have += len(data)
    if not is_same and here.exists():
        os.utime(here, (fact.modified, fact.modified))


def answers_left_out(job: Job) -> str:
    """A sentence when not all of the answers are here; empty when they are."""
    if job.machine.is_local:
        return ""
    if not (mirror_folder(job.uuid) / CUT).exists() and not is_cut(job.machine, job.run_dir):
        return ""
    return (
        "Some answers of this run were not brought here: of one run at most "
        f"{size_text(settings.TRAINYARD_LARGEST_LOG)} are kept, the disk must keep room, and the "
        f"end of a run does not wait for them. All are in {job.run_dir} on {job.machine}."
    )
