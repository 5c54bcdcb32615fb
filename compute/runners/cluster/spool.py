"""Keeps a copy of a run directory, filled from the frames in a job's log."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute.runners.base import FileFact
from compute.runners.cluster.frames import Frame
from compute.runners.facts import file_facts

LISTING = "checkpoints.json"  # what is below checkpoints/ there: names, sizes, times
ENDED = "ended"  # the job's last word: nothing is missing
OVER = ".over.json"  # written here: nothing more will come, and what Ray said
KNOWN = ".known"  # the cluster knew the job: if it does not know it any more, the job is lost
LOCK = ".lock"
CUT = ".cut"  # not all of the log, or of the rollouts, found room here
OWN = {LISTING, ENDED, OVER, KNOWN, LOCK, CUT}
CHECKPOINTS = "checkpoints/"
# What may be large; the rest is always kept. So are reports: half of one is none.
BULK = ("train.log", "rollouts/", "validation/")
# Folders of the run of which nothing comes: they are looked into there.
THERE = ("model", "adapter")


@dataclass(frozen=True)
class Room:
    """Bytes that the bulk of one attempt may take here, and that it leaves free on the disk."""

    largest: int = 2 << 30
    keep_free: int = 0


class Spool:
    """The copy of one attempt. Frames may be repeated: a file only grows by bytes that it lacks."""

    def __init__(self, folder: Path, room: Room | None = None) -> None:
        self.folder, self._room = folder, room or Room()
        self._bulk: int | None = None  # bytes, counted once

    def take(self, frame: Frame) -> None:
        """Raises ``ValueError`` when bytes are missing before it, and ``OSError``."""
        if frame.path.startswith(BULK) and not self._has_room_for(frame):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / CUT).touch()
            return
        path = self.folder / frame.path
        if frame.is_whole:
            self._replace(path, frame)
            return
        have = path.stat().st_size if path.exists() else 0
        end = frame.offset + len(frame.data)
        if frame.offset > have:
            raise ValueError(f"{frame.path} lacks its bytes from {have} to {frame.offset}")
        if end > have or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(frame.data[have - frame.offset :])
            os.utime(path, (frame.modified, frame.modified))

    def _has_room_for(self, frame: Frame) -> bool:
        """Whether a frame of a large file is kept. After one that found no room none is, since a
        file must have no holes."""
        path = self.folder / frame.path
        new = frame.offset + len(frame.data) - (path.stat().st_size if path.exists() else 0)
        if new <= 0 and path.exists():
            return True
        if self.is_cut:
            return False
        if self._bulk is None:
            kept = (fact for fact in self._kept() if fact.path.startswith(BULK))
            self._bulk = sum(fact.size for fact in kept)
        self._bulk += new
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free - new
        return self._bulk <= self._room.largest and free >= self._room.keep_free

    def _replace(self, path: Path, frame: Frame) -> None:
        """Ignore an older content of a file that is sent once more."""
        if path.exists() and path.stat().st_mtime >= frame.modified:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(frame.data)
        os.utime(part, (frame.modified, frame.modified))
        part.replace(path)

    def close(self, status: str, message: str) -> None:
        """Nothing more will come."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{OVER}.part"
        part.write_text(json.dumps({"status": status, "message": message[-20_000:]}))
        part.replace(self.folder / OVER)

    def reopen(self) -> None:
        """Take back that the job is over, because something of it lives."""
        (self.folder / OVER).unlink(missing_ok=True)

    @property
    def is_cut(self) -> bool:
        """Whether something found no room here."""
        return (self.folder / CUT).exists()

    @property
    def is_known(self) -> bool:
        """Whether the cluster ever had the job."""
        return (self.folder / KNOWN).exists()

    @property
    def over(self) -> dict[str, Any] | None:
        """What Ray said last, once nothing more will come."""
        try:
            found: dict[str, Any] = json.loads((self.folder / OVER).read_text())
        except (OSError, ValueError):
            return None
        return found

    @property
    def has_all(self) -> bool:
        """Whether the job said its last word."""
        return (self.folder / ENDED).exists()

    def forget(self, below: str) -> None:
        """A folder was removed there: neither its copy nor the listing of checkpoints has it here
        any longer."""
        if below.strip("/."):
            shutil.rmtree(self.folder / below, ignore_errors=True)
        kept = [fact for fact in self._listed() if not fact.path.startswith(f"{below}/")]
        path = self.folder / LISTING
        if not path.exists():
            return
        told = [[fact.path[len(CHECKPOINTS) :], fact.size, fact.modified] for fact in kept]
        facts, part = path.stat(), path.with_name(f".{LISTING}.part")
        part.write_text(json.dumps(told))
        os.utime(part, (facts.st_atime, facts.st_mtime))  # what is told later is newer
        part.replace(path)

    def files(self, below: str) -> Iterator[FileFact]:
        """All files below a folder of the run, named from there."""
        start = f"{below}/" if below else ""
        for fact in (*self._kept(), *self._listed()):
            if fact.path.startswith(start):
                yield FileFact(fact.path[len(start) :], fact.size, fact.modified)

    def stat(self, name: str) -> FileFact | None:
        path = self.folder / name
        if name not in OWN and path.is_file():
            facts = path.stat()
            return FileFact(name, facts.st_size, facts.st_mtime)
        if not name.startswith(CHECKPOINTS):  # the listing may be long, and has nothing else
            return None
        return next((fact for fact in self._listed() if fact.path == name), None)

    def lacks(self, name: str) -> bool:
        """Whether only its facts are here, as of what lies below ``checkpoints/``."""
        is_listed = name.startswith(CHECKPOINTS) and self.stat(name) is not None
        return is_listed and not (self.folder / name).exists()

    def exists(self, name: str) -> bool:
        start = f"{name}/" if name else ""
        has = self.stat(name) is not None or (self.folder / name).is_dir()
        return has or any(fact.path.startswith(start) for fact in self._listed())

    def _kept(self) -> Iterator[FileFact]:
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                inside = str(path.relative_to(self.folder))
                # What lies below checkpoints/ is in the listing, too.
                if inside not in OWN and not inside.startswith(CHECKPOINTS):
                    with suppress(FileNotFoundError):  # it was replaced, or renamed, meanwhile
                        facts = path.stat()
                        yield FileFact(inside, facts.st_size, facts.st_mtime)

    def _listed(self) -> list[FileFact]:
        try:
            told = file_facts(json.loads((self.folder / LISTING).read_text()))
        except (OSError, ValueError, RecursionError):
            return []
        return [FileFact(f"{CHECKPOINTS}{one.path}", one.size, one.modified) for one in told]
