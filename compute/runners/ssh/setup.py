"""Making a training environment on a machine, without root, in one folder of its own.

What is sent is this repository's node package, its ``install.sh``, and the lock of one release of
verl. The installation runs on the machine by itself: it outlives the connection, and a set-up that
was cut off goes on with it. Doing it again does only what is missing.
"""

import hashlib
import io
import json
import secrets
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute.runners.base import (
    HostKeyRefused,
    LoginRefused,
    RunnerError,
    RunnerUnsure,
    Unreachable,
)
from compute.runners.commands import RunCommand
from compute.runners.ssh.process import Cut
from compute.runners.ssh.workdir import environments_of, is_plain
from compute.runners.text import storable

PROGRAM = Path(__file__).with_name("installer.py")
ANSWERS_WITHIN = 60.0
VERIFIED_WITHIN = 300.0  # the first import of torch and verl reads gigabytes
LOOK_EVERY = 1.0
INSTALLED_WITHIN = 4 * 3600.0  # seconds; then it hangs, or the machine does not tell the truth
PATIENCE = 900.0  # seconds without a connection before it is given up; the machine goes on
KEYS = {"look": "missing", "take": "root", "start": "started", "follow": "log", "verify": "fault"}
BESIDE = "requirements-eval.txt"  # what a user may add on the machine, by a command that says so
LEFT_OUT = ("__pycache__", "tests", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache")


class SetUpFailed(RunnerError):
    """The environment could not be made. The message is a sentence for the user."""


@dataclass(frozen=True)
class Plan:
    """What to make: ``environments`` is this repository's folder, ``release`` one of its parts
    (``verl-0.9``), ``workdir`` the machine's work folder."""

    environments: Path
    release: str
    workdir: str

    @property
    def root(self) -> str:
        return environments_of(self.workdir)

    @property
    def short(self) -> str:
        return self.release.removeprefix("verl-")


class Progress:
    """Where the steps and the log of a set-up go. This one keeps nothing."""

    def step(self, title: str) -> None:
        """What is done now."""

    def log(self, text: str) -> None:
        """More of what the installation prints."""


def set_up(
    run: RunCommand, plan: Plan, progress: Progress, pause: Callable[[float], None] = time.sleep
) -> str:
    """Make the environment and return the path of its Python on the machine.

    Raises ``SetUpFailed`` with what to do, or another ``RunnerError`` of the connection.
    """
    far = _Far(run, plan, progress, pause)
    files = files_of(plan)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    progress.step("Looking what is there")
    there = far.look(digests)
    if foreign := there.get("foreign"):
        raise SetUpFailed(
            f"{plan.root} has files that no set-up has made ({foreign}): it looks like a checkout. "
            "They are left as they are. Give the machine a work folder of its own."
        )
    if not is_plain(str(there["root"])):
        raise SetUpFailed(
            f"Ray could not start its workers from {there['root']}: it needs a path without spaces "
            "and quotes. Give the machine a work folder with such a path."
        )
    if not there["running"]:
        if there["missing"]:
            _send(far, files, digests, there["missing"], progress)
        elif there["code"] == 0 and there["has_python"] and not far.fault(there["python"]):
            progress.step("Everything is there already")
            return str(there["python"])
        _start(far, there["base"], progress)
    progress.step(f"Installing verl {plan.short} and its packages")
    _wait(far, progress, pause)
    progress.step("Importing verl and the node package")
    if fault := far.fault(there["python"]):
        raise SetUpFailed(f"It was installed and cannot be imported: {fault}")
    return str(there["python"])


def files_of(plan: Plan) -> dict[str, bytes]:
    """What is sent, by its path below the machine's ``environments`` folder."""
    node = plan.environments / "node"
    paths = [
        plan.environments / "install.sh",
        plan.environments / plan.release / "lock.txt",
        plan.environments / plan.release / "requirements.txt",
        *sorted(plan.environments.glob(f"{plan.release}/{BESIDE}")),
        *(path for path in sorted(node.rglob("*")) if _is_source(path.relative_to(node), path)),
    ]
    return {str(path.relative_to(plan.environments)): path.read_bytes() for path in paths}


def _is_source(name: Path, path: Path) -> bool:
    hidden = any(part in LEFT_OUT or part.endswith(".egg-info") for part in name.parts)
    return path.is_file() and not hidden


def pack(files: Mapping[str, bytes], digests: Mapping[str, str], names: Sequence[str]) -> bytes:
    """The named files as one archive, with the digests of all."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        _add(archive, "sent.json", json.dumps(dict(digests)).encode())
        for name in names:
            _add(archive, name, files[name])
    return target.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _send(
    far: "_Far",
    files: Mapping[str, bytes],
    digests: Mapping[str, str],
    names: Sequence[str],
    progress: Progress,
) -> None:
    progress.step(f"Sending {len(names)} of {len(files)} files")
    far.take(pack(files, digests, names))


def _start(far: "_Far", python: str | None, progress: Progress) -> None:
    if python is None:
        raise SetUpFailed(
            "The machine has no Python 3.11 or 3.12 that can make an environment. Get one with "
            "uv python install 3.12 (no root needed), or apt-get install python3.12-venv."
        )
    progress.step("Starting the installation")
    if far.start(python):
        return
    there = far.follow(0)
    if not there["running"] and there["code"] is None:
        raise SetUpFailed("The installation could not be started. Is the disk full?")


def _wait(far: "_Far", progress: Progress, pause: Callable[[float], None]) -> None:
    offset, last, ends = 0, "", time.monotonic() + INSTALLED_WITHIN
    while True:
        told = far.follow(offset)
        offset, last = int(told["offset"]), (last + str(told["log"]))[-4000:]
        progress.log(str(told["log"]))
        if told["is_all"] and not told["running"]:
            return _judge(told["code"], last)
        if time.monotonic() > ends:
            raise SetUpFailed(
                f"The installation still runs after {INSTALLED_WITHIN / 3600:.0f} hours. It is not "
                "waited for any longer; look at the machine, then set up again."
            )
        pause(LOOK_EVERY if told["is_all"] else 0)


def _judge(code: int | None, last: str) -> None:
    if code is None:
        raise SetUpFailed(
            "The installation ended without a word: was the machine restarted? Set up again; what "
            "is there is kept."
        )
    if code:
        lines = [line.strip() for line in last.splitlines() if line.strip()]
        faults = [line for line in lines if line.startswith(("ERROR", "error", "install.sh"))]
        said = " ".join((faults or lines)[-2:]) or f"it ended with {code}"
        raise SetUpFailed(f"The installation failed: {said}")


class _Far:
    """The commands of ``installer.py`` on the machine. Each may be repeated: a cut is waited out.

    Only the first must be answered at once: a machine that is not there is told without a wait.
    """

    def __init__(
        self, run: RunCommand, plan: Plan, progress: Progress, pause: Callable[[float], None]
    ) -> None:
        self.run, self.plan, self.progress, self.pause = run, plan, progress, pause
        self.patience = 0.0

    def look(self, digests: Mapping[str, str]) -> dict[str, Any]:
        return self._do("look", self.plan.release, stdin=json.dumps(dict(digests)).encode())

    def take(self, archive: bytes) -> None:
        self._do("take", self.plan.release, stdin=archive)

    def start(self, python: str) -> bool:
        token = secrets.token_hex(8)
        asked = (self.plan.release, self.plan.short, python, token)
        return bool(self._do("start", *asked)["started"])

    def follow(self, offset: int) -> dict[str, Any]:
        return self._do("follow", self.plan.release, str(offset))

    def fault(self, python: str) -> str | None:
        fault: str | None = self._do("verify", python, within=VERIFIED_WITHIN)["fault"]
        return fault

    def _do(
        self, command: str, *argv: str, stdin: bytes = b"", within: float = ANSWERS_WITHIN
    ) -> dict[str, Any]:
        installer = ["python3", "-c", PROGRAM.read_text(), command, self.plan.root]
        said = self._answer([*installer, *argv], stdin, within)
        try:
            answer: dict[str, Any] = storable(json.loads(said.decode().strip().splitlines()[-1]))
            answer[KEYS[command]]
        except (ValueError, IndexError, KeyError, TypeError, RecursionError):
            raise RunnerError(f"{command} answered {said[:120]!r}, which cannot be read.") from None
        self.patience = PATIENCE
        return answer

    def _answer(self, argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        waited = 0.0
        while True:
            try:
                return self.run(argv, stdin, within)
            except (HostKeyRefused, LoginRefused):
                raise
            except (Unreachable, RunnerUnsure, Cut) as error:
                if waited >= self.patience:
                    raise
                self.progress.step(f"No connection; what was started goes on there. {error}")
            self.pause(LOOK_EVERY)
            waited += LOOK_EVERY
