"""A machine that is reached by SSH: the same runner as ``local``, through one connection."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

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
from compute.runners.facts import file_facts
from compute.runners.far.common import frame, unframe
from compute.runners.removing import check_removable, read_removed
from compute.runners.samples import clean_sample
from compute.runners.ssh import folders, transfer, workdir
from compute.runners.ssh.address import Address
from compute.runners.ssh.connection import connection_to
from compute.runners.ssh.files import FarFiles
from compute.runners.ssh.process import ANSWERS_WITHIN, NOT_EXECUTABLE, NOT_FOUND, Ended
from compute.runners.ssh.programs import LOADER, MARK, program
from compute.runners.text import readable

Part: TypeAlias = Literal["head", "join", "look", "down"]
NOTHING: Mapping[str, str] = {}
EXAMINED_WITHIN = 600.0  # a checkpoint may be hundreds of gigabytes on a slow disk
REMOVED_WITHIN = 1800.0  # a network's file system may take long over many files
LONGEST_STACK = 400_000  # characters


class SshRunner:
    def __init__(self, address: Address, python: str, workdir: str) -> None:
        self._connection = connection_to(address)
        self._python, self._workdir = python, workdir

    @property
    def python(self) -> str:
        return self._connection.at_home(self._python)

    @property
    def workdir(self) -> str:
        """The absolute path; a leading ``~`` is the far user's home, which is asked for once."""
        try:
            home = self._connection.home() if self._workdir.startswith("~") else ""
            return workdir.resolve(self._workdir, home)
        except ValueError as error:
            raise RunnerError(str(error)) from None

    def launch(self, launch: Launch) -> None:
        folder = self._at(launch.attempt_dir)
        script = rundir.write_script(launch.argv, launch.env, folder)
        made = {"folder": folder, "name": rundir.SCRIPT, "script": script}
        self._node("run", folder, "--detach", env=launch.secrets, made=made)

    def bar(self, attempt_dir: str) -> bool:
        asked = {"folder": self._at(attempt_dir), "name": rundir.LOCK}
        return bool(self._files.ask("bar", **asked)[0]["barred"])

    def read(self, path: str, offset: int, limit: int) -> bytes:
        return self.read_many([Stretch(path, offset, limit)])[0]

    def read_many(self, stretches: Sequence[Stretch]) -> list[bytes]:
        asked = [(self._at(part.path), part.offset, part.limit) for part in stretches]
        header, payload = self._files.ask("read", stretches=asked)
        found, begin = [], 0
        for size in header["sizes"]:
            found.append(payload[begin : begin + size])
            begin += size
        return found

    def stat(self, path: str) -> FileFact | None:
        told = self._files.ask("stat", path=self._at(path))[0].get("facts")
        try:
            return file_facts([[path, *told]])[0] if told else None
        except (TypeError, ValueError) as error:
            raise self._none(error) from None

    def files(self, path: str) -> Iterator[FileFact]:
        told = self._files.ask("files", path=self._at(path))[0].get("files")
        try:
            return iter(file_facts(told))
        except ValueError as error:
            raise self._none(error) from None

    def exists(self, path: str) -> bool:
        return self._files.ask("exists", path=self._at(path))[0].get("exists") is True

    def stop(self, attempt_dir: str, grace: int) -> None:
        # If the wrapper is dead, this command itself ends the run and waits for the end.
        within = grace + ANSWERS_WITHIN
        self._node("stop", self._at(attempt_dir), "--grace", str(grace), within=within)

    def ask(self, attempt_dir: str, what: Request) -> None:
        control = f"{self._at(attempt_dir)}/{rundir.CONTROL}"
        self._files.ask("ask", control=control, what=what)

    def examine(self, checkpoint: str) -> Examined:
        answer = self._node("examine", self._at(checkpoint), within=EXAMINED_WITHIN)
        try:
            return rundir.read_examined(answer)
        except ValueError as error:
            raise RunnerError(f"examine gave an answer that cannot be read: {error}") from error

    def stack(self, attempt_dir: str) -> str:
        return readable(self._node("stack", self._at(attempt_dir))[:LONGEST_STACK])

    def now(self) -> float:
        told = self._files.ask("now")[0].get("now")
        if not isinstance(told, int | float) or not math.isfinite(told):
            raise RunnerError(f"{self._connection.address} does not say what time it is.")
        return float(told)

    def alive(self, attempt_dir: str) -> Alive:
        answer = self._node("alive", self._at(attempt_dir))
        try:
            return Alive(*rundir.read_alive(answer))
        except ValueError as error:
            raise RunnerError(f"alive gave an answer that cannot be read: {error}") from error

    def cluster(self, do: Part, folder: str, *argv: str, env: Mapping[str, str] = NOTHING) -> str:
        """This machine's part in the Ray of several: see ``trainyard_node.cluster``."""
        return self._node("cluster", do, self._at(folder), *argv, env=env)

    def lacking(self, packages: Sequence[str]) -> set[str]:
        answer = self._call("find_spec", "find", list(packages))
        try:
            return {name for name in packages if name in unframe(answer)}
        except (TypeError, ValueError) as error:
            raise self._none(error) from None

    def sample(self) -> dict[str, Any]:
        told = self._files.ask("sample", path=self.workdir)[0]
        try:
            return clean_sample(told)
        except ValueError as error:
            raise RunnerError(f"The load of the machine cannot be read: {error}.") from error

    def put(self, source: Path, digest: str, told: Told) -> str:
        if not transfer.DIGEST.fullmatch(digest):
            raise RunnerError(f"{digest!r} is no SHA-256 in hex.")
        folder = f"{self.workdir}/{folders.FILES}/{digest}"
        transfer.put(self._connection, self.python, source, folder, digest, told)
        return f"{folder}/{transfer.safe_name(source.name)}"

    def put_folder(self, folder: Path, pieces: Sequence[Piece], told: Told) -> str:
        return folders.put(self._connection, self.python, self.workdir, pieces, told)

    def get(self, path: str, target: Path, told: Told) -> None:
        transfer.get(self._connection, self.python, self._at(path), target, told)

    def remove(self, folder: str) -> int | None:
        path = check_removable(self.workdir, self._at(folder))
        answer = self._call("remove", "remove", {"folder": path}, REMOVED_WITHIN)
        try:
            told = unframe(answer)
        except ValueError as error:
            raise self._none(error) from None
        return read_removed(told)

    @property
    def _files(self) -> FarFiles:
        return self._connection.files_by(self.python)

    def _at(self, path: str) -> str:
        """A path for the far side: absolute, with the home in place of a ``~``."""
        if "\0" in path:
            raise RunnerError("A path cannot have a zero byte in it.")
        path = self._connection.at_home(path)
        if not path.startswith("/"):
            raise RunnerError(f"{path!r} is no absolute path; what it begins at is not known.")
        return path

    def _none(self, error: Exception) -> RunnerError:
        return RunnerError(f"{self._connection.address} gave an answer that is none: {error}.")

    def _node(
        self,
        command: str,
        *argv: str,
        within: float = ANSWERS_WITHIN,
        env: Mapping[str, str] | None = None,
        made: Mapping[str, str] | None = None,
    ) -> str:
        asked = {"python": self.python, "command": command, "argv": argv, "env": dict(env or {})}
        asked |= made or {}
        return self._call(command, "node", asked, within).decode(errors="replace")

    def _call(self, command: str, name: str, asked: Any, within: float = ANSWERS_WITHIN) -> bytes:
        """What a far program wrote after its mark."""
        with self._connection.start([self.python, "-c", LOADER]) as process:
            try:
                wrote = process.finish(program(name) + frame(asked), within)
            except Ended as error:
                raise self._failed(command, error) from None
            except RunnerUnsure as error:
                raise RunnerUnsure(f"{command} gave no answer: {error}") from error
        _, mark, answer = wrote.partition(MARK)
        if not mark:
            raise RunnerError(f"{self.python} on {process.name} is no Python: {command} failed.")
        return answer

    def _failed(self, command: str, error: Ended) -> RunnerError:
        if error.code in (NOT_FOUND, NOT_EXECUTABLE):
            return RunnerError(
                f"There is no Python at {self.python}. Set the machine up, or set its Python to "
                "one that has verl and trainyard_node."
            )
        return RunnerError(error.said or f"{command} ended with {error.code}.")
