"""What every runner can do. The set is fixed: no method runs any other command."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from compute.runners.text import bounded

Request: TypeAlias = Literal["pause", "save"]
Told: TypeAlias = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes of the whole file."""


class RunnerError(Exception):
    """The machine could not do it. The message is a sentence for the user.

    It may quote what a far machine said: it is kept to what can be stored and shown.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(bounded(message))


class NeverPossible(RunnerError):
    """It would fail the next time, too: trying again is of no use."""


class Gone(NeverPossible):
    """What was asked for is not there any more."""


class Unreachable(RunnerError):
    """There is no connection to the machine: nothing is known of what is on it.

    ``since`` is when it was first found so, epoch seconds, if it was before this call.
    ``waits_for_user``: it is tried again seldom before somebody asks for it.
    """

    since: float | None = None
    waits_for_user = False
    at: str = ""  # the machine, where several are asked


class LoginRefused(Unreachable):
    """The machine answers, and does not let this user in."""


class HostKeyRefused(Unreachable):
    """The machine's host key is not the one that the user confirmed, or none was confirmed."""


class RunnerUnsure(RunnerError):
    """The machine did not answer in time: what was asked may have been done, or not."""


@dataclass(frozen=True)
class Launch:
    """A process to start in a new attempt directory (absolute paths).

    ``env`` is written into the run script. ``secrets`` reach the process's environment only: a
    runner never writes them down, on this machine or another. ``gpus`` is how many devices the
    process itself takes, where a cluster hands them out.
    """

    attempt_dir: str
    argv: Sequence[str]
    env: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    gpus: int = 0


@dataclass(frozen=True)
class FileFact:
    """A file: path from the directory asked about, bytes, change time in epoch seconds."""

    path: str
    size: int
    modified: float


@dataclass(frozen=True)
class Stretch:
    """A part of a file: up to ``limit`` bytes from ``offset``."""

    path: str
    offset: int
    limit: int


@dataclass(frozen=True)
class Piece:
    """A file of a folder of this machine: ``name`` is its path from there, ``source`` where its
    bytes are, ``size`` in bytes, ``digest`` its SHA-256 in hex."""

    name: str
    source: Path
    size: int
    digest: str


@dataclass(frozen=True)
class Examined:
    """What a saved checkpoint is worth. ``faults`` are sentences; a whole one has none."""

    step: int
    world_size: int
    faults: Sequence[str]

    @property
    def whole(self) -> bool:
        return not self.faults


@dataclass(frozen=True)
class Alive:
    """Which of a run's two processes is there, by recorded identity.

    ``why`` is what the machine says of it, a sentence; most say nothing.
    """

    wrapper: bool
    process: bool
    why: str = field(default="", compare=False)


class Runner(Protocol):
    """Starts, reads and stops runs on one machine. Every method may raise ``RunnerError``."""

    def launch(self, launch: Launch) -> None:
        """Write the run script and start it under the wrapper; return once it has started.

        A directory that already has a run is refused: nothing starts twice.
        """

    def bar(self, attempt_dir: str) -> bool:
        """Keep any run from starting in an attempt directory; false when one may have started.

        It takes the lock of which a wrapper must be the first holder: after a true answer, nothing
        has run there, nor will it.
        """

    def read(self, path: str, offset: int, limit: int) -> bytes:
        """Up to ``limit`` bytes from ``offset``; empty when there is no such file or no more."""

    def read_many(self, stretches: Sequence[Stretch]) -> list[bytes]:
        """``read`` for each, in one round trip where the machine is far away."""

    def stat(self, path: str) -> FileFact | None:
        """Facts of one file, or None when there is none."""

    def files(self, path: str) -> Iterator[FileFact]:
        """All files below a directory; none when there is no such directory."""

    def exists(self, path: str) -> bool:
        """True when there is a file or directory."""

    def stop(self, attempt_dir: str, grace: int) -> None:
        """Ask the run to end: SIGTERM, then SIGKILL after ``grace`` seconds.

        Returns at once while the wrapper lives; without it, when the run has ended.
        """

    def ask(self, attempt_dir: str, what: Request) -> None:
        """Leave a request in the run's ``control/`` folder; the trainer looks once a step."""

    def examine(self, checkpoint: str) -> Examined:
        """Look whether a ``global_step_N`` folder can be resumed from. Slow: starts a process."""

    def stack(self, attempt_dir: str) -> str:
        """Where each Python process of the run stands now (py-spy); says so when it cannot."""

    def now(self) -> float:
        """The machine's own clock, epoch seconds: heartbeats are compared with it, not ours."""

    def alive(self, attempt_dir: str) -> Alive:
        """Look at the recorded processes. Slow (starts a process): for doubts, not for polling."""

    def lacking(self, packages: Sequence[str]) -> set[str]:
        """Which of these packages the training environment cannot import."""

    def sample(self) -> dict[str, Any]:
        """Load of the machine now, with the keys of ``system.jsonl``."""

    def put(self, source: Path, digest: str, told: Told) -> str:
        """Copy a file of this machine to the other one, and return its path there.

        ``digest`` is its SHA-256 in hex. What is there already is never sent again: a whole file
        not at all, a part of one only from where it ends. It has its final name only when its
        digest was checked there.
        """

    def put_folder(self, folder: Path, pieces: Sequence[Piece], told: Told) -> str:
        """Copy a folder of this machine, made of these pieces, to the other one; its path there.

        No byte is sent or kept twice: each piece goes as by ``put``. The folder is there only when
        all of it is. ``told`` counts over all pieces. Refused when it does not fit on the disk.
        """

    def get(self, path: str, target: Path, told: Told) -> None:
        """Copy a file of the other machine here, going on with a ``.part`` beside the target.

        The target is replaced in one step, when size and SHA-256 were checked.
        """

    def remove(self, folder: str) -> int | None:
        """Remove the folder of a whole run, one of its checkpoints, a model that it exported, or
        what was brought here of either. The bytes that it had; None where it is not there.

        Any other folder is refused. It loses its name first: a removal that is broken off leaves
        nothing that looks like a checkpoint, and the next one of the folder clears it away.
        """
