"""Copies a folder of another machine here, file by file. A copy that was cut off is gone on with,
and the folder has its name only when all of it came."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from compute.runners.base import FileFact, Gone, Runner, RunnerError, Told
from platform_site.counts import size_text

MARGIN = 1 << 30  # bytes that must be left free on this machine's disk
MOST_FILES = 100_000
LOOK_AGAIN = 0.5  # seconds, while somebody else brings the same folder


def fetch(runner: Runner, folder: str, target: Path, told: Told) -> None:
    """Bring all files below ``folder`` to ``target``, each checked by its SHA-256.

    What came of it before is not asked for again. Whoever comes second waits for the first. Raises
    ``RunnerError``, and whatever ``told`` raises.
    """
    # The largest comes first, so that a file too large to be copied is refused at once.
    facts = sorted(runner.files(folder), key=lambda fact: (-fact.size, fact.path))
    _check_names(folder, facts)
    total = sum(fact.size for fact in facts)
    part = target.with_name(f".{target.name}.part")
    try:
        with _alone(target, lambda: told(0, total)):
            if not target.is_dir():
                _fetch(runner, folder, facts, part, told)
                part.rename(target)
    except OSError as error:
        raise RunnerError(f"{target} cannot be made: {error.strerror or error}.") from error
    told(total, total)


def _check_names(folder: str, facts: Sequence[FileFact]) -> None:
    """Refuse a list of the other machine that names a place outside of the folder here."""
    if not facts:
        raise Gone(f"There are no files in {folder} any more.")
    if len(facts) > MOST_FILES:
        raise RunnerError(f"{folder} has more than {MOST_FILES} files. It is not brought here.")
    for fact in facts:
        path = PurePosixPath(fact.path)
        if path.is_absolute() or ".." in path.parts or not path.name or "\0" in fact.path:
            raise RunnerError(f"{folder} has a file {fact.path!r}, whose name leads elsewhere.")


@contextmanager
def _alone(target: Path, waiting: Callable[[], None]) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("wb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(LOOK_AGAIN)
        yield


def _fetch(runner: Runner, folder: str, facts: Sequence[FileFact], part: Path, told: Told) -> None:
    done, total = 0, sum(fact.size for fact in facts)
    part.mkdir(exist_ok=True)
    _check_room(facts, part)
    for fact in facts:
        path = part / fact.path
        if not _is_here(path, fact):
            runner.get(f"{folder}/{fact.path}", path, _of_all(fact, done, total, told))
            os.utime(path, (fact.modified, fact.modified))
        done += fact.size
        told(done, total)
    _drop_others(part, {part / fact.path for fact in facts})


def _is_here(path: Path, fact: FileFact) -> bool:
    """Whether it came before: a file has its name only after it was checked."""
    try:
        facts = path.stat()
    except OSError:
        return False
    return facts.st_size == fact.size and abs(facts.st_mtime - fact.modified) < 1e-3


def _of_all(fact: FileFact, before: int, total: int, told: Told) -> Told:
    def tell(done: int, size: int) -> None:
        if size != fact.size:
            raise RunnerError(f"{fact.path} changed while it was brought here. Ask for it again.")
        told(before + done, total)

    return tell


def _check_room(facts: Sequence[FileFact], part: Path) -> None:
    here = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    needed = max(0, sum(fact.size for fact in facts) - here)
    free = shutil.disk_usage(part).free
    if free < needed + MARGIN:
        raise RunnerError(
            f"The disk of this machine has {size_text(free)} free; {size_text(needed)} are to "
            f"come, and {size_text(MARGIN)} must be left. Make room at {part.parent}."
        )


def _drop_others(part: Path, wanted: set[Path]) -> None:
    """The files that were in the folder when the copy began, and are not there now."""
    for path in part.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
