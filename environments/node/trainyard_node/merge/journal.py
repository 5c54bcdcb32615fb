"""How far a merge is on the disk, so that an interrupted one goes on where it stopped.

The result is made in a hidden folder beside its place, and moved there when it is whole. The
journal lies beside that folder: which merge it is, and how many tensors are safely on the disk.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from trainyard_node.export.place import is_no_space
from trainyard_node.export.refused import Refused

FINISHED = -1  # in the place of a number of tensors


class Journal:
    """Opens the work on `target`. Raises Refused where it is there, or is being made."""

    def __init__(self, target: Path, identity: str) -> None:
        self.target, self._identity = target, identity
        self.folder = working_folder(target)
        self._path = target.parent / f".{target.name}.merging.json"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if is_no_space(error):
                raise
            raise Refused(f"{target.parent} cannot be made: {error.strerror}.") from error
        self._lock = self._locked()
        try:
            self._begin()
        except OSError as error:
            if is_no_space(error):
                shutil.rmtree(self.folder, ignore_errors=True)
                self._forget()
            raise

    def _begin(self) -> None:
        self.done = self._read()
        self.is_finished = self.done == FINISHED
        self.made = self.done
        if _is_there(self.target) and not self.is_finished:
            self._forget()
            raise Refused(f"{self.target} is there already: nothing is overwritten.")
        if not self.done:
            self._begin_anew()
        if not self.is_finished:
            self.folder.mkdir(exist_ok=True)
            sync_folder(self.target.parent)

    def advance(self) -> None:
        """The tensors that are made are on the disk for good."""
        self._write({"merge": self._identity, "done": self.made})

    def finish(self) -> None:
        """Move the whole result to its place."""
        if _is_there(self.target):
            raise Refused(f"{self.target} has appeared meanwhile: nothing is overwritten.")
        sync_folder(self.folder)
        self._write({"merge": self._identity, "done": FINISHED})
        self.folder.rename(self.target)
        sync_folder(self.target.parent)
        self._forget()

    def finish_again(self) -> None:
        """The result is in its place already: forget how it came there."""
        sync_folder(self.target.parent)
        self._forget()

    def close(self) -> None:
        """Leave what is done for the next start."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def drop(self) -> None:
        """Remove all that was made."""
        self._begin_anew()
        self._forget()

    def _begin_anew(self) -> None:
        """The journal says so first: a kill between the two leaves files that nobody trusts."""
        self._write({"merge": self._identity, "done": 0})
        shutil.rmtree(self.folder, ignore_errors=True)

    def _locked(self) -> int:
        """The journal's file, locked: the one that has its name, not one that was just removed."""
        while True:
            opened = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(opened)
                raise Refused(f"Another merge is making {self.target} just now.") from error
            try:
                if os.fstat(opened).st_ino == self._path.stat().st_ino:
                    return opened
            except FileNotFoundError:
                pass
            os.close(opened)

    def _forget(self) -> None:
        self._path.unlink(missing_ok=True)
        self.close()

    def _read(self) -> int:
        """The tensors that are done; FINISHED where only the move may be missing."""
        try:
            found = json.loads(os.pread(self._lock, 1 << 16, 0) or b"{}")
            done = found["done"] if found.get("merge") == self._identity else 0
        except (ValueError, KeyError, AttributeError):
            return 0
        if done == FINISHED:
            return self._after_move()
        return done if type(done) is int and done > 0 and self.folder.is_dir() else 0

    def _after_move(self) -> int:
        if self.folder.is_dir() and not _is_there(self.target):
            self.folder.rename(self.target)
        return FINISHED if self.target.is_dir() else 0

    def _write(self, said: dict[str, object]) -> None:
        text = json.dumps(said).encode()
        os.pwrite(self._lock, text.ljust(256), 0)
        os.fsync(self._lock)


def working_folder(target: Path) -> Path:
    """Where `target` is made, beside its place."""
    return target.parent / f".{target.name}.merging"


def identity_of(text: str, headers: Sequence[bytes], files: Sequence[Path]) -> str:
    """A digest of the recipe, of the files that are made and of the state of the inputs: where one
    of them is another, it is another merge."""
    stats = [(str(file), *_state(file)) for file in sorted(files)]
    made = [hashlib.sha256(header).hexdigest() for header in headers]
    return hashlib.sha256(json.dumps([text, made, stats]).encode()).hexdigest()


def _state(file: Path) -> tuple[int, ...]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _is_there(target: Path) -> bool:
    return target.exists() or target.is_symlink()


def sync(path: Path) -> None:
    """Have a file on the disk for good."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk for good."""
    sync(folder)
