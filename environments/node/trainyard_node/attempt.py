"""The files of one attempt directory, and two ways to write them."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainyard_node.events import EventName

# Without O_NONBLOCK a pipe that the run put in a file's place would be waited for.
OPEN_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK

LONGEST = 1 << 16  # characters of a small file


@dataclass(frozen=True)
class Attempt:
    """File names in `<workdir>/runs/<job>/attempt-<n>/`; the root is absolute."""

    root: Path

    @classmethod
    def at(cls, directory: str | Path) -> "Attempt":
        """The attempt in `directory`, made absolute so that a later chdir is harmless."""
        return cls(Path(directory).expanduser().resolve())

    @property
    def script(self) -> Path:
        return self.root / "run.sh"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def log(self) -> Path:
        return self.root / "train.log"

    @property
    def pid(self) -> Path:
        return self.root / "pid"

    @property
    def heartbeat(self) -> Path:
        return self.root / "heartbeat"

    @property
    def exit_code(self) -> Path:
        return self.root / "exit_code"

    @property
    def system(self) -> Path:
        return self.root / "system.jsonl"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def provenance(self) -> Path:
        return self.root / "provenance.jsonl"

    @property
    def control(self) -> Path:
        return self.root / "control"

    @property
    def stop_request(self) -> Path:
        return self.control / "stop"

    @property
    def discards(self) -> Path:
        return self.control / "discards.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    def read_exit_code(self) -> int | None:
        """The exit code, or None while there is none (or none that can be read)."""
        try:
            return int(read_small(self.exit_code))
        except (OSError, ValueError):
            return None


def part_of(path: Path) -> Path:
    """The temporary file to which new content of `path` is written before it replaces `path`."""
    return path.with_name(f".{path.name}.part")


def read_small(path: Path) -> str:
    """The text of a file of a few words. What a run put in its place (a pipe, a device, more than
    memory holds) is never waited for, nor read whole. Raises OSError, ValueError."""
    if not path.is_file():
        raise FileNotFoundError(path)
    with path.open() as file:
        return file.read(LONGEST)


def write_atomic(path: Path, text: str, *, sync: bool = False) -> None:
    """Replace `path` in one step. Raises OSError and then keeps the old content."""
    with open(part_of(path), "w", opener=_without_waiting) as file:
        file.write(text)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    part_of(path).replace(path)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


class Lines:
    """A JSON-lines file. Each line is written whole by one write(2).

    A line that cannot be written (disk full, quota) is dropped: losing a sample is better than
    losing the run. After a line that was cut short, the next one starts on a new line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._torn = False

    def append(self, record: dict[str, Any]) -> bool:
        """Write one record with its time (epoch seconds). Return False if it was dropped."""
        line = json.dumps({"at": round(time.time(), 3), **record}) + "\n"
        data = (("\n" if self._torn else "") + line).encode()
        try:
            written = self._write(data)
        except OSError:
            return False
        self._torn = written != len(data)
        return not self._torn

    def _write(self, data: bytes) -> int:
        descriptor = os.open(self.path, OPEN_APPEND, 0o666)
        try:
            return os.write(descriptor, data)
        finally:
            os.close(descriptor)


def record_event(lines: Lines, kind: EventName, message: str, **details: Any) -> None:
    """Append one event."""
    lines.append({"kind": kind, "message": message, **details})
