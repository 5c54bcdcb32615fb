"""This machine, through its own file system and the commands of ``trainyard_node``."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from compute.runners import rundir
from compute.runners.base import (
    Alive,
    Examined,
    FileFact,
    Launch,
    Piece,
    Request,
    RunnerError,
    RunnerUnsure,
    Stretch,
    Told,
)
from compute.runners.facts import LAST
from compute.runners.far import remove
from compute.runners.far.common import open_file
from compute.runners.local.gpus import read_gpus
from compute.runners.local.parts import CHUNK, Part, hash_start
from compute.runners.local.stretches import read_stretch
from compute.runners.removing import check_removable, read_removed
from platform_site.bounded.environment import passed_on

ANSWERS_WITHIN = 120  # seconds; a machine under load may take long to start a Python
EXAMINED_WITHIN = 600  # a checkpoint may be hundreds of gigabytes on a slow disk
KILLED = 128  # a shell adds the number of the signal that killed the process
# The first entry of sys.path is left out: it is the folder of this process.
FIND = (
    "import importlib.util, sys; del sys.path[0]; "
    "print(*(name for name in sys.argv[1:] if not importlib.util.find_spec(name)))"
)


class LocalRunner:
    def __init__(self, python: str, workdir: str) -> None:
        self.python = python
        self.workdir = Path(workdir)

    def launch(self, launch: Launch) -> None:
        attempt = Path(launch.attempt_dir)
        try:
            attempt.mkdir(parents=True, exist_ok=True)
            script = rundir.write_script(launch.argv, launch.env, launch.attempt_dir)
            with (attempt / rundir.SCRIPT).open("x") as file:
                file.write(script)
        except FileExistsError:
            raise RunnerError(f"{attempt} was started already; an attempt runs once.") from None
        except OSError as error:
            raise RunnerError(f"The run directory could not be made: {error}") from error
        self._node("run", launch.attempt_dir, "--detach", secrets=launch.secrets)

    def bar(self, attempt_dir: str) -> bool:
        try:
            Path(attempt_dir).mkdir(parents=True, exist_ok=True)
            Path(attempt_dir, rundir.LOCK).touch(exist_ok=False)
        except FileExistsError:
            return False
        except OSError as error:
            raise RunnerError(f"{attempt_dir} cannot be barred: {error}") from error
        return True

    def read(self, path: str, offset: int, limit: int) -> bytes:
        return read_stretch(Path(path), offset, limit, path)

    def read_many(self, stretches: Sequence[Stretch]) -> list[bytes]:
        return [self.read(part.path, part.offset, part.limit) for part in stretches]

    def stat(self, path: str) -> FileFact | None:
        try:
            facts = Path(path).stat()
        except OSError:
            return None
        return FileFact(path, facts.st_size, min(max(0.0, facts.st_mtime), LAST))

    def files(self, path: str) -> Iterator[FileFact]:
        for folder, _, names in os.walk(path):
            for name in names:
                full = Path(folder, name)
                fact = self.stat(str(full))
                if fact:
                    yield FileFact(str(full.relative_to(path)), fact.size, fact.modified)

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def stop(self, attempt_dir: str, grace: int) -> None:
        # Where the wrapper is dead, this command itself ends the run and waits for the end.
        self._node("stop", attempt_dir, "--grace", str(grace), within=grace + ANSWERS_WITHIN)

    def ask(self, attempt_dir: str, what: Request) -> None:
        control = Path(attempt_dir, rundir.CONTROL)
        try:
            control.mkdir(exist_ok=True)
            (control / what).touch()
        except OSError as error:
            raise RunnerError(f"The run could not be asked to {what}: {error}") from error

    def examine(self, checkpoint: str) -> Examined:
        answer = self._node("examine", checkpoint, within=EXAMINED_WITHIN)
        try:
            return rundir.read_examined(answer)
        except ValueError as error:
            raise RunnerError(f"examine gave an answer that cannot be read: {error}") from error

    def stack(self, attempt_dir: str) -> str:
        return self._node("stack", attempt_dir)

    def now(self) -> float:
        return time.time()

    def alive(self, attempt_dir: str) -> Alive:
        answer = self._node("alive", attempt_dir)
        try:
            return Alive(*rundir.read_alive(answer))
        except ValueError as error:
            raise RunnerError(f"alive gave an answer that cannot be read: {error}") from error

    def lacking(self, packages: Sequence[str]) -> set[str]:
        return set(self._ask("find_spec", ["-c", FIND, *packages]).split())

    def sample(self) -> dict[str, Any]:
        try:
            memory, disk = psutil.virtual_memory(), shutil.disk_usage(self.workdir)
        except OSError as error:
            raise RunnerError(f"{self.workdir} cannot be measured: {error.strerror}") from error
        return {
            "cpu_percent": psutil.cpu_percent(),
            "memory_used": memory.total - memory.available,
            "memory_total": memory.total,
            "disk_used": disk.total - disk.free,  # blocks reserved for root count as used
            "disk_total": disk.total,
            "gpus": read_gpus(),
        }

    def put(self, source: Path, digest: str, told: Told) -> str:
        size = self.stat(str(source))
        if size is None:
            raise RunnerError(f"{source} cannot be read: there is no such file.")
        told(size.size, size.size)
        return str(source)

    def put_folder(self, folder: Path, pieces: Sequence[Piece], told: Told) -> str:
        size = sum(piece.size for piece in pieces)
        told(size, size)
        return str(folder)

    def get(self, path: str, target: Path, told: Told) -> None:
        try:
            with open_file(Path(path)) as file:
                if not target.exists() or not target.samefile(path):
                    _copy(file, target, told)
        except OSError as error:
            raise RunnerError(f"{path} cannot be read: {error.strerror}") from error

    def remove(self, folder: str) -> int | None:
        return read_removed(remove.remove(check_removable(str(self.workdir), folder)))

    def _node(
        self,
        command: str,
        *argv: str,
        within: float = ANSWERS_WITHIN,
        secrets: Mapping[str, str] | None = None,
    ) -> str:
        return self._ask(command, ["-m", f"trainyard_node.{command}", *argv], within, secrets)

    def _ask(
        self,
        command: str,
        argv: Sequence[str],
        within: float = ANSWERS_WITHIN,
        secrets: Mapping[str, str] | None = None,
    ) -> str:
        try:
            done = subprocess.run(
                [self.python, *argv],
                env=passed_on() | dict(secrets or {}),
                capture_output=True,
                text=True,
                timeout=within,
                check=False,
            )
        except FileNotFoundError:
            raise RunnerError(
                f"There is no Python at {self.python}. Run make install, or set the machine's "
                "Python to one that has verl and trainyard_node."
            ) from None
        except OSError as error:
            raise RunnerError(f"{command} did not work on this machine: {error}") from error
        except subprocess.TimeoutExpired:
            raise RunnerUnsure(f"{command} gave no answer for {within:.0f} s.") from None
        if done.returncode < 0 or done.returncode > KILLED:
            # Nobody knows how far it came: a run may have been started.
            raise RunnerUnsure(f"{command} was killed on this machine. Is its memory full?")
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise RunnerError(said[-1] if said else f"{command} ended with {done.returncode}.")
        return done.stdout


def _copy(file: BinaryIO, target: Path, told: Told) -> None:
    size = os.fstat(file.fileno()).st_size
    with Part(target) as part:
        have, digest = hash_start(file, min(part.have, size))
        if have != part.have or digest.digest() != part.digest.digest():
            part.begin_at(0)
            have, digest = hash_start(file, 0)
        told(have, size)
        while have < size and (data := file.read(min(CHUNK, size - have))):
            digest.update(data)
            part.add(data)
            have += len(data)
            told(have, size)
        part.finish(digest.hexdigest())
