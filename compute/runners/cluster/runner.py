"""An existing Ray cluster, reached by its Jobs API alone: the same runner as the others.

A run is a job of the cluster. The files of its run directory come in the job's output; they are
copied into a folder here, the spool, and read from it. Small jobs answer questions about the other
files there (see ``cluster.calls``).
"""

import base64
import hashlib
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from compute.runners import rundir
from compute.runners.base import (
    Alive,
    Examined,
    FileFact,
    Launch,
    NeverPossible,
    Piece,
    Request,
    RunnerError,
    RunnerUnsure,
    Stretch,
    Told,
    Unreachable,
)
from compute.runners.cluster import calls
from compute.runners.cluster.api import JobInfo, Refused, api_of
from compute.runners.cluster.load import sample_of
from compute.runners.cluster.sending import Sender
from compute.runners.cluster.spool import THERE, Room, Spool
from compute.runners.cluster.tail import follow
from compute.runners.facts import file_facts
from compute.runners.local.stretches import read_stretch
from compute.runners.removing import WHOLE_RUN, check_removable, read_removed
from compute.runners.samples import clean_sample
from platform_site.counts import size_text

STARTS_WITHIN = 120.0  # seconds in which a job that Ray takes up shows its first sign
LOOK_EVERY = 0.2
EXAMINED_WITHIN = 600.0
REMOVED_WITHIN = 1800.0
LARGEST_BROUGHT = 8 << 20  # as much as a node says in one answer
STOPS_WITHIN = 120  # seconds that Ray waits before it kills; the run's own grace is far shorter


class RayRunner:
    def __init__(
        self,
        address: str,
        token: str,
        python: str,
        workdir: str,
        spools: Path,
        room: Room | None = None,
    ) -> None:
        self._api = api_of(address, token)
        self._python, self._workdir = python or "python", workdir.rstrip("/")
        self._spools, self._room = spools, room
        self._sender = Sender(self._api, self._python, self._workdir)
        runs = re.escape(f"{self._workdir}/runs/")
        self._run = re.compile(rf"({runs}[^/]+/attempt-\d+)(?:/(.*))?", re.DOTALL)

    def launch(self, launch: Launch) -> None:
        if launch.secrets:
            raise RunnerError(
                "A job's environment on a Ray cluster can be read by everyone who sees its "
                "dashboard: no secret is sent there. Leave the trackers out that need an account."
            )
        job = self.job_of(launch.attempt_dir)
        order = self._order(launch, job)
        calls.sweep(self._api)
        failed: RunnerError | None = None
        try:
            self._api.submit(order)
        except Refused as error:
            if _exists(error):
                raise RunnerError(_twice(launch.attempt_dir)) from None
            if error.code < 500:
                raise
            failed = error
        except RunnerUnsure as error:
            failed = error
        if why_not := self._why_not_begun(launch.attempt_dir, job, failed):
            raise RunnerError(why_not)

    def _why_not_begun(self, folder: str, job: str, failed: RunnerError | None) -> str:
        """Empty when the job began. The order may have arrived by now, so a question without an
        answer raises ``RunnerUnsure``."""
        try:
            if failed and self._api.job(job) is None:
                raise RunnerUnsure(f"Whether Ray took the job is not known. {failed}")
            return self._see_start(folder, job)
        except RunnerUnsure:
            raise
        except RunnerError as error:
            raise RunnerUnsure(f"Whether the run began is not known. {error}") from error

    def _order(self, launch: Launch, job: str) -> dict[str, Any]:
        folder = launch.attempt_dir
        script = rundir.write_script(launch.argv, launch.env, folder)
        # verl's workers are Ray's: they have this environment, and not that of the run's process.
        env = {**launch.env, "TRAINYARD_RUN_DIR": folder, "TRAINYARD_ATTEMPT": job}
        env["RAY_JOB_STOP_WAIT_TIME_S"] = str(STOPS_WITHIN)
        order = {"folder": folder, "script": script}
        return {
            "entrypoint": calls.entrypoint(self._python, "ray_job", order),
            "submission_id": job,
            "runtime_env": calls.runtime_env(self._api, env),
            "metadata": {"trainyard": "run"},
            **({"entrypoint_num_gpus": launch.gpus} if launch.gpus else {}),
        }

    def _see_start(self, folder: str, job: str) -> str:
        """Wait for the job's first sign of life: empty, or why it did not begin.

        Raises ``RunnerError``.
        """
        deadline, status = time.monotonic() + STARTS_WITHIN, ""
        while time.monotonic() < deadline:
            if self.stat(f"{folder}/{rundir.PID}"):
                return ""
            info = self._api.job(job)
            if info is None:
                raise RunnerUnsure("The cluster lost the job while it was being started.")
            if info.has_ended and self._spool(folder).over is not None:
                return self._why_not(info, folder)
            status = info.status
            time.sleep(LOOK_EVERY)
        raise RunnerUnsure(
            f"Ray took the job and has not started it within {STARTS_WITHIN:.0f} s ({status}): it "
            "starts when the cluster has room for it."
        )

    def _why_not(self, info: JobInfo, folder: str) -> str:
        if any(f"exit code {code}" in info.message for code in calls.NO_PYTHON):
            return calls.no_python(self._python)
        said = calls.last_words(info.message) or info.status
        if "was started already" in said:
            return _twice(folder)
        return f"The job ended before the run began: {said}"

    def bar(self, attempt_dir: str) -> bool:
        """The job's name is the lock: whoever has it first, has it for good."""
        job = self.job_of(attempt_dir)
        order = {"entrypoint": "true", "submission_id": job}
        try:
            self._api.submit(order | {"metadata": {"trainyard": "barred"}})
        except Refused as error:
            if not _exists(error):
                raise
            info = self._api.job(job)
            if info is None or info.node or not info.has_ended:
                return False
            # It ended without a node, as a job does that found no room for too long.
        # A new cluster at this address knows no job of the former one, though it may have its disk.
        return bool(self._call("bar", folder=attempt_dir))

    def read(self, path: str, offset: int, limit: int) -> bytes:
        spool, name = self._spooled(path)
        if spool is None or spool.lacks(name):
            return self._read_there(path, offset, limit)
        return read_stretch(spool.folder / name, offset, limit, path)

    def _read_there(self, path: str, offset: int, limit: int) -> bytes:
        said = self._call("read", path=path, offset=offset, limit=limit, node=self._node_of(path))
        return base64.b64decode(said)

    def read_many(self, stretches: Sequence[Stretch]) -> list[bytes]:
        return [self.read(part.path, part.offset, part.limit) for part in stretches]

    def stat(self, path: str) -> FileFact | None:
        spool, name = self._spooled(path)
        if spool:
            fact = spool.stat(name)
            return FileFact(path, fact.size, fact.modified) if fact else None
        told = self._call("stat", path=path)
        try:
            return file_facts([[path, *told]])[0] if told else None
        except (TypeError, ValueError) as error:
            raise RunnerError(f"stat gave an answer that is none: {error}.") from None

    def files(self, path: str) -> Iterator[FileFact]:
        spool, name = self._spooled(path)
        if spool:
            return spool.files(name)
        try:
            return iter(file_facts(self._call("files", path=path)))
        except ValueError as error:
            raise RunnerError(f"files gave an answer that is none: {error}.") from None

    def exists(self, path: str) -> bool:
        spool, name = self._spooled(path)
        if spool:
            return spool.exists(name)
        return bool(self._call("exists", path=path))

    def stop(self, attempt_dir: str, grace: int) -> None:
        job = self.job_of(attempt_dir)
        info = self._api.job(job)
        if info is None:
            return
        if not info.node:  # Ray has not begun it
            self._api.stop(job)
            return
        try:
            within = grace + calls.ANSWERS_WITHIN
            self._call("stop", folder=attempt_dir, grace=grace, node=info.node, within=within)
        except Unreachable:
            raise
        except RunnerError:
            self._api.stop(job)  # all that Ray itself can do: SIGTERM, and SIGKILL later
            raise

    def ask(self, attempt_dir: str, what: Request) -> None:
        self._call("ask", folder=attempt_dir, what=what, node=self._node_of(attempt_dir))

    def examine(self, checkpoint: str) -> Examined:
        node = self._node_of(checkpoint)
        answer = self._call("examine", folder=checkpoint, node=node, within=EXAMINED_WITHIN)
        try:
            return rundir.read_examined(str(answer))
        except ValueError as error:
            raise RunnerError(f"examine gave an answer that cannot be read: {error}") from error

    def stack(self, attempt_dir: str) -> str:
        return str(self._call("stack", folder=attempt_dir, node=self._node_of(attempt_dir)))

    def now(self) -> float:
        return self._api.version()[1]

    def alive(self, attempt_dir: str) -> Alive:
        """What Ray and the node say. While the log is still being read, the run counts as alive:
        the rest of the log has its last lines and its verdict."""
        spool, info = self._followed(attempt_dir), self._api.job(self.job_of(attempt_dir))
        if info is None:
            gone = "The cluster does not know its job any more."
            return Alive(spool.is_known and spool.over is None, False, gone)
        if info.status == "PENDING":
            return Alive(True, False, "Ray has not begun it: the cluster has no room for it yet.")
        found = self._alive_there(attempt_dir, info)
        if not found.wrapper and not found.process and spool.over is None:
            why = f"What it wrote last is still being read. {found.why}".strip()
            return Alive(True, False, why)
        if (found.wrapper or found.process) and spool.over is not None:
            spool.reopen()
        return found

    def _alive_there(self, attempt_dir: str, info: JobInfo) -> Alive:
        said = f"Ray says {info.status}: {calls.last_words(info.message)}" if info.message else ""
        if info.node and not self._has(info.node):
            return Alive(False, False, f"Its node has left the cluster. {said}".strip())
        answer = self._call("alive", folder=attempt_dir, node=info.node)
        try:
            return Alive(bool(answer["wrapper"]), bool(answer["process"]), said)
        except (KeyError, TypeError):
            raise RunnerError("alive gave an answer that cannot be read.") from None

    def lacking(self, packages: Sequence[str]) -> set[str]:
        return set(map(str, self._call("lacking", packages=list(packages))))

    def sample(self) -> dict[str, Any]:
        try:
            return clean_sample(sample_of(self._api.load()))
        except ValueError as error:
            raise RunnerError(f"The load of the cluster cannot be read: {error}.") from error

    def put(self, source: Path, digest: str, told: Told) -> str:
        return self._sender.put(source, digest, told)

    def put_folder(self, folder: Path, pieces: Sequence[Piece], told: Told) -> str:
        return self._sender.put_folder(folder, pieces, told)

    def get(self, path: str, target: Path, told: Told) -> None:
        fact = self.stat(path)
        if fact is None:
            raise RunnerError(f"{path} cannot be read: there is no such file.")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        spool, name = self._spooled(path)
        if spool and not spool.lacks(name):
            shutil.copyfile(spool.folder / name, part)
        elif fact.size > LARGEST_BROUGHT:
            raise NeverPossible(
                f"{path} has {size_text(fact.size)}, and Ray's API brings no files. Up to "
                f"{LARGEST_BROUGHT >> 20} MiB come; fetch this one from the cluster's own disk."
            )
        else:
            part.write_bytes(self._read_there(path, 0, LARGEST_BROUGHT))
        if part.stat().st_size != fact.size:
            raise RunnerError(f"{path} changed while it was fetched. Try again.")
        part.replace(target)
        told(fact.size, fact.size)

    def remove(self, folder: str) -> int | None:
        path = check_removable(self._workdir, folder)
        told = self._call("remove", folder=path, within=REMOVED_WITHIN)
        if inside := self._inside(path):
            self._spool(inside[0]).forget(inside[1])
        if run := WHOLE_RUN.fullmatch(str(PurePosixPath(path).relative_to(self._workdir))):
            for spool in self._spools.glob(f"trainyard-{run[1]}-*"):
                shutil.rmtree(spool, ignore_errors=True)
        return read_removed(told)

    def job_of(self, attempt_dir: str) -> str:
        """The name of the attempt's job, always the same: Ray starts no second job of one name."""
        path = PurePosixPath(attempt_dir)
        mark = hashlib.sha256(attempt_dir.encode()).hexdigest()[:10]
        run = re.sub(r"[^\w-]", "_", path.parent.name, flags=re.ASCII)[:60]
        number = re.sub(r"[^\w-]", "_", path.name, flags=re.ASCII)[:20]
        return f"trainyard-{run}-{number}-{mark}"

    def _inside(self, path: str) -> tuple[str, str] | None:
        """The attempt directory that a path lies in, and the rest; None for any other path."""
        found = self._run.fullmatch(path)
        if not found:
            return None
        name = (found[2] or "").rstrip("/")
        if ".." in name.split("/"):
            raise RunnerError(f"{path!r} leaves the run's folder.")
        return found[1], name

    def _spooled(self, path: str) -> tuple[Spool | None, str]:
        """The copy of the run that a path lies in, and its name there; None for any other path, and
        for what is not copied."""
        inside = self._inside(path)
        if inside is None or inside[1].partition("/")[0] in THERE:
            return None, ""
        return self._followed(inside[0]), inside[1]

    def _spool(self, folder: str) -> Spool:
        return Spool(self._spools / self.job_of(folder), self._room)

    def _followed(self, folder: str) -> Spool:
        spool = self._spool(folder)
        follow(self._api, self.job_of(folder), spool)
        return spool

    def copy_of(self, attempt_dir: str) -> Path:
        """The folder here that has the copy of a run, as far as there is one."""
        return self._spool(attempt_dir).folder

    def is_cut(self, attempt_dir: str) -> bool:
        """Whether a part of its log or of its rollouts is missing here, for want of room."""
        return self._spool(attempt_dir).is_cut

    def _node_of(self, path: str) -> str:
        """The node on which the run runs or ran. Empty when that node has left the cluster: all
        nodes share the folder, so the head can look at it."""
        inside = self._inside(path)
        info = self._api.job(self.job_of(inside[0])) if inside else None
        return info.node if info and self._has(info.node) else ""

    def _has(self, node: str) -> bool:
        return node in {each.id for each in self._api.nodes()}

    def _call(self, do: str, **asked: Any) -> Any:
        return calls.call(self._api, self._python, do, **asked)


def _twice(folder: str) -> str:
    return f"{folder} was started already; an attempt runs once."


def _exists(error: Refused) -> bool:
    """Whether there is a job of that name. Ray says it with several codes."""
    return "already exists" in str(error)
