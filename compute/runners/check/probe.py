"""Asks a machine what a check needs to know. This file itself is the program that runs there.

It is sent to the machine as it is, on the standard input of ``python3 - ASKED``, so it imports the
standard library only and keeps to Python 3.8. ``ASKED`` is JSON: ``python`` (of the training
environment, may be empty), ``workdir`` and ``within`` (seconds for the slow parts). It installs
nothing, leaves no file behind and prints one JSON object: for each part ``{"data": …}`` or
``{"why": "…"}``. Every part is a process of its own with a time limit of its own, so one mount that
hangs holds up nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:  # Python 3.8 cannot spell this type when it runs
    from collections.abc import Callable

    Question = Callable[[], Any]

QUICK = 10.0  # seconds for questions that a healthy machine answers at once
WRITTEN = 64 * 1024 * 1024  # bytes, at most, to measure a disk with
WRITE_FOR = 2.0  # seconds, at most
PORTS = 32  # a run of Ray and torch opens about so many, each where the system says
NVIDIA = "0x10de"
CARDS = Path("/sys/bus/pci/devices")
SHARED = "/dev/shm"  # noqa: S108  # where Ray and torch share tensors between processes
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
PYTHONS = (
    "python3.12", "python3.11", "python3", "~/.local/bin/python3.12", "~/.local/bin/python3.11",
)  # fmt: skip
IMPORTS = ("verl", "trainyard_node", "ray")
VERSIONS = """
import json
from importlib.metadata import distributions
print(json.dumps({d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}))
"""
IMPORTED = """
import json
from importlib import import_module, metadata
module = import_module(sys.argv[1])
try:
    version = metadata.version(sys.argv[1].replace("_", "-"))
except metadata.PackageNotFoundError:
    version = str(getattr(module, "__version__", ""))
print(json.dumps({"version": version}))
"""
TORCH = """
import json, torch
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda,
                  "sees": torch.cuda.device_count() if torch.cuda.is_available() else 0}))
"""
PYTHON = "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3])"


def main(asked: dict[str, Any]) -> None:
    answers = _all_at_once(_parts(asked["python"], asked["workdir"], asked["within"]))
    sys.stdout.write(json.dumps({"parts": answers, "now": time.time()}) + "\n")
    sys.stdout.flush()


def _parts(python: str, workdir: str, slow: float) -> dict[str, tuple[Question, float]]:
    parts: dict[str, tuple[Question, float]] = {
        "account": (account, QUICK),
        "pythons": (lambda: pythons(python), slow),
        "disk": (lambda: disk(workdir), QUICK),
        "speed": (lambda: speed(workdir), QUICK + 2 * WRITE_FOR),
        "memory": (memory, QUICK),
        "shm": (shm, QUICK),
        "gpus": (gpus, slow),
        "ports": (ports, QUICK),
        "home": (lambda: writable("~"), QUICK),
        "workdir": (lambda: writable(workdir), QUICK),
    }
    if python:
        parts["packages"] = (lambda: told(python, VERSIONS), slow)
        parts["torch"] = (lambda: told(python, TORCH), slow)
        parts.update((name, (_importing(python, name), slow)) for name in IMPORTS)
    return parts


def account() -> dict[str, Any]:
    system = os.uname()
    return {
        "uid": os.getuid(),
        "home": _path("~"),
        "host": socket.gethostname(),
        "cpus": len(os.sched_getaffinity(0)),
        "system": f"{system.sysname} {system.release} {system.machine}",
    }


def pythons(named: str) -> dict[str, Any]:
    """Each Python that is there, with its version and whether it can make an environment."""
    names = [_path(name) for name in (*PYTHONS, *([named] if named else []))]
    found = {name: _python(name) for name in names if shutil.which(name)}
    return {name: facts for name, facts in found.items() if facts}


def disk(folder: str) -> dict[str, Any]:
    there = _there(folder)
    facts = os.statvfs(there)
    return {
        "folder": there,
        "free": facts.f_bavail * facts.f_frsize,
        "total": facts.f_blocks * facts.f_frsize,
        "files_free": facts.f_favail if facts.f_files else None,
    }


def speed(folder: str) -> dict[str, Any]:
    """Bytes a second that reach the disk, measured with a file that has no name."""
    block, written = os.urandom(1024 * 1024), 0
    with tempfile.TemporaryFile(dir=_there(folder)) as file:
        began = time.monotonic()
        while written < WRITTEN and time.monotonic() - began < WRITE_FOR:
            written += file.write(block)
        file.flush()
        os.fsync(file.fileno())
        took = time.monotonic() - began
    return {"bytes_per_second": written / max(took, 1e-6)}


def writable(folder: str) -> dict[str, Any]:
    """Raises when a file cannot be written, locked and read back in the folder, or in the place
    where it would be made."""
    there, told = _there(folder), os.urandom(4096)
    with tempfile.TemporaryFile(dir=there) as file:
        file.write(told)
        file.flush()
        os.fsync(file.fileno())
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.seek(0)
        if file.read() != told:
            raise RuntimeError("what is read there is not what was written")
    return {"folder": _path(folder), "is_there": there == _path(folder)}


def memory() -> dict[str, Any]:
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M))
    total, free = int(found["MemTotal"]) * 1024, int(found["MemAvailable"]) * 1024
    limit = _container_limit()
    if limit is not None and limit < total:
        return {"total": limit, "available": min(free, limit), "is_container": True}
    return {"total": total, "available": free, "is_container": False}


def shm() -> dict[str, Any]:
    facts = os.statvfs(SHARED)
    return {
        "total": facts.f_blocks * facts.f_frsize,
        "free": facts.f_bavail * facts.f_frsize,
        "is_mount": os.path.ismount(SHARED),
    }


def gpus() -> dict[str, Any]:
    if not shutil.which("nvidia-smi"):
        return {"gpus": [], "cards": _cards(), "why": "there is no nvidia-smi"}
    asked = ["--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    code, said = _run("nvidia-smi", *asked)
    if code:
        why = said.strip().splitlines() or ["nvidia-smi failed"]
        return {"gpus": [], "cards": max(1, _cards()), "why": why[0][:300]}
    rows = [line.split(", ") for line in said.splitlines() if line.count(", ") >= 3]
    cuda = re.search(r"CUDA Version:\s*([\d.]+)", _run("nvidia-smi")[1])
    return {
        "gpus": [
            {"index": int(r[0]), "name": r[1], "memory": _mebibytes(r[2]), "driver": r[3]}
            for r in rows
        ],
        "cards": len(rows),
        "cuda": cuda.group(1) if cuda else None,
    }


def ports() -> dict[str, Any]:
    """Open so many at once on the loopback address; the system chooses them, as for a run."""
    with contextlib.ExitStack() as opened:
        for _ in range(PORTS):
            opened.enter_context(socket.create_server(("127.0.0.1", 0)))
    return {"opened": PORTS}


def told(python: str, program: str, *argv: str) -> Any:
    """The JSON that a program prints. Raises ``RuntimeError`` with its last line when it fails."""
    # Without the first entry of the path, which would be the folder that it stands in.
    code = "import sys; sys.path[:1] = []" + program
    whole = [_path(python), "-c", code, *argv]
    done = subprocess.run(whole, capture_output=True, cwd="/", check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(said[-1][:300] if said else f"ended with {done.returncode}")
    return json.loads(done.stdout.decode().strip().splitlines()[-1])


def _importing(python: str, name: str) -> Question:
    return lambda: told(python, IMPORTED, name)


def _python(name: str) -> dict[str, Any] | None:
    code, said = _run(name, "-c", PYTHON)
    if code == 0:
        return {"version": said.strip(), "makes_venvs": True}
    version = re.match(r"Python (\d+\.\d+\.\d+)", _run(name, "-V")[1])
    return {"version": version.group(1), "makes_venvs": False} if version else None


def _run(*argv: str) -> tuple[int, str]:
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace")


def _path(text: str) -> str:
    return str(Path(text).expanduser())


def _there(folder: str) -> str:
    """The folder, or the nearest one above it that exists."""
    path = Path(folder).expanduser()
    while not path.is_dir() and path.parent != path:
        path = path.parent
    return str(path)


def _container_limit() -> int | None:
    for path in LIMITS:
        with contextlib.suppress(OSError, ValueError):
            return int(Path(path).read_text())
    return None


def _cards() -> int:
    """NVIDIA cards on the bus, whether or not a driver serves them."""
    return sum(_is_card(device) for device in CARDS.iterdir()) if CARDS.is_dir() else 0


def _is_card(device: Path) -> bool:
    try:
        vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
    except OSError:
        return False
    return vendor == NVIDIA and kind.startswith("0x03")


def _mebibytes(text: str) -> int | None:
    try:
        return int(float(text)) * 1024 * 1024
    except ValueError:
        return None


def _all_at_once(parts: dict[str, tuple[Question, float]]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    running = {name: _Part(question, within) for name, (question, within) in parts.items()}
    while running:
        soonest = min(part.ends for part in running.values())
        pipes = [part.pipe for part in running.values()]
        ready = select.select(pipes, [], [], max(0, soonest - time.monotonic()))[0]
        for name, part in list(running.items()):
            answer = part.look(part.pipe in ready)
            if answer is not None:
                answers[name] = answer
                del running[name]
    return answers


class _Part:
    """Asks one question in a child process, which is abandoned when it does not answer."""

    def __init__(self, question: Question, within: float) -> None:
        self.ends, self.within, self.text = time.monotonic() + within, within, b""
        self.pipe, into = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _answer(question, into)
        os.close(into)

    def look(self, is_ready: bool) -> dict[str, Any] | None:
        if is_ready:
            piece = os.read(self.pipe, 65536)
            self.text += piece
            return None if piece else self._end(self._read())
        if time.monotonic() >= self.ends:
            return self._end({"why": f"no answer for {self.within:.0f} s"})
        return None

    def _read(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self.text.decode())
        except ValueError:
            return {"why": "it ended without an answer"}
        return answer

    def _end(self, answer: dict[str, Any]) -> dict[str, Any]:
        os.close(self.pipe)
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        return answer


def _answer(question: Question, into: int) -> NoReturn:
    """Runs in the child process, which ends here and holds none of the parent's streams."""
    try:
        os.setpgid(0, 0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        with os.fdopen(into, "w") as pipe:
            json.dump(_asked(question), pipe)
    finally:
        os._exit(0)


def _asked(question: Question) -> dict[str, Any]:
    try:
        return {"data": question()}
    except subprocess.TimeoutExpired as error:
        return {"why": f"no answer for {error.timeout:.0f} s"}
    except OSError as error:
        named = f": {error.filename}" if error.filename else ""
        return {"why": (error.strerror or str(error)) + named}
    except Exception as error:
        return {"why": str(error) or type(error).__name__}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
