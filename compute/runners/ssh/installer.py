"""The far side of a set-up: takes files, starts the installation, tells how far it is.

Sent as it is to the machine (``python3 -c THIS COMMAND ROOT …``), so it imports the standard
library only and keeps to Python 3.8. All it writes lies below ``ROOT``, which is
``<workdir>/environments``.
Every command prints one JSON object.

The installation itself runs in a session of its own and holds a lock as long as it lives, so a
connection may break and a second set-up may come: both find it by the lock, its log and its code.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

PYTHONS = (
    "python3.12", "python3.11", "python3", "~/.local/bin/python3.12", "~/.local/bin/python3.11",
)  # fmt: skip
FITS = "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))"
MOST = 64 * 1024  # bytes of the log in one answer
MANIFEST = "sent.json"
CHECKOUT = (".git", "manage.py")  # beside the folder, where this is a checkout
TRIES = 30  # a tenth of a second each


def main(command: str, root: str, *argv: str) -> None:
    folder = Path(root).expanduser()
    commands: dict[str, Any] = {
        "look": look, "take": take, "start": start, "follow": follow, "verify": verify,
    }  # fmt: skip
    answer = commands[command](folder, *argv)
    sys.stdout.write(json.dumps(answer) + "\n")


def look(root: Path, release: str) -> dict[str, Any]:
    """Which files of those on the standard input are missing here or have another digest."""
    wanted = json.load(sys.stdin)
    place = root / release
    return {
        "root": str(root),
        "foreign": _foreign(root, wanted),
        "missing": [name for name, digest in wanted.items() if _digest(root / name) != digest],
        "python": str(place / ".venv/bin/python"),
        "has_python": os.access(str(place / ".venv/bin/python"), os.X_OK),
        "base": _base(),
        "code": _code(place),
        "running": _is_running(place),
    }


def take(root: Path, release: str) -> dict[str, Any]:
    """Unpack files from the standard input, each replaced in one step.

    A file that only an earlier set-up sent is removed, unless it was changed since or belongs to
    another release.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())) as archive:
        wanted = json.loads(_member(archive, MANIFEST))
        for name in archive.getnames():
            if name != MANIFEST:
                _put(_inside(root, name), _member(archive, name))
    before = _manifest(root)
    others = {name: digest for name, digest in before.items() if _is_of_other(name, release)}
    for name in set(before) - set(wanted) - set(others):
        old = _inside(root, name)
        if _digest(old) == before[name]:
            old.unlink()
    _put(root / MANIFEST, json.dumps({**others, **wanted}).encode())
    return {"root": str(root)}


def start(root: Path, release: str, short: str, python: str, token: str) -> dict[str, Any]:
    """Start the installation in a session of its own, unless one runs.

    A request with the same token is the same request again, because its answer was lost: it starts
    nothing a second time.
    """
    place = root / release
    place.mkdir(parents=True, exist_ok=True)
    if _token(place) == token:
        return {"started": True}
    told, into = os.pipe()
    if os.fork() == 0:
        os.close(told)
        _install(root, place, short, python, token, into)
    os.close(into)
    with os.fdopen(told, "rb") as pipe:
        return {"started": pipe.read() == b"started"}


def follow(root: Path, release: str, offset: str) -> dict[str, Any]:
    """The log from a byte on, and whether the installation runs, or its code."""
    place = root / release
    # Asked before the log is read: if the installation was over, the log that is read now is whole.
    code, running = _code(place), _is_running(place)
    try:
        with (place / "setup.log").open("rb") as file:
            file.seek(int(offset))
            text = file.read(MOST)
    except FileNotFoundError:
        text = b""
    return {
        "log": text.decode(errors="replace"),
        "offset": int(offset) + len(text),
        "is_all": len(text) < MOST,
        "code": code,
        "running": running,
    }


def verify(root: Path, python: str) -> dict[str, Any]:
    """Import what a run needs; the fault is a sentence, or None."""
    asked = "import sys; sys.path[:1] = []; import trainyard_node, verl"
    done = subprocess.run([python, "-c", asked], capture_output=True, cwd="/", check=False)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return {"fault": (said[-1] if said else "it ended by itself") if done.returncode else None}


def _token(place: Path) -> str:
    try:
        return (place / "setup.token").read_text()
    except FileNotFoundError:
        return ""


def _install(root: Path, place: Path, short: str, python: str, token: str, into: int) -> None:
    """Runs in the child process, which ends here whatever happens."""
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        with _lock(place) as lock:
            _take_lock(lock)
            with suppress(FileNotFoundError):
                (place / "setup.code").unlink()
            _put(place / "setup.token", token.encode())
            with (place / "setup.log").open("wb") as log:
                os.write(into, b"started")
                os.close(into)
                code = _run(root, place, short, python, log, lock)
            _put(place / "setup.code", str(code).encode())
    finally:
        os._exit(code)


def _take_lock(lock: IO[str]) -> None:
    """Raises ``BlockingIOError`` when an installation runs, not when somebody only looks."""
    for _ in range(TRIES):
        with suppress(BlockingIOError):
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.1)
    raise BlockingIOError


def _run(root: Path, place: Path, short: str, python: str, log: IO[bytes], lock: IO[str]) -> int:
    argv = ["bash", str(root / "install.sh"), short, str(place / ".venv"), python]
    # The script asks pip to be quiet. PIP_VERBOSE takes that back: the page shows what pip prints.
    env = {
        **os.environ, "PIP_VERBOSE": "1", "PIP_PROGRESS_BAR": "off", "PIP_NO_INPUT": "1",
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    # The processes of the installation inherit the lock: it is held until the last one ends.
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=str(root), env=env,
        pass_fds=(lock.fileno(),), check=False,
    )  # fmt: skip
    return done.returncode


def _lock(place: Path) -> IO[str]:
    return (place / "setup.lock").open("a")


def _is_running(place: Path) -> bool:
    if not (place / "setup.lock").exists():
        return False
    with _lock(place) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _code(place: Path) -> int | None:
    try:
        return int((place / "setup.code").read_text())
    except (OSError, ValueError):
        return None


def _base() -> str | None:
    """The Python that an environment can be made with."""
    for name in PYTHONS:
        found = shutil.which(str(Path(name).expanduser()))
        if found and _answers(found):
            return found
    return None


def _answers(python: str) -> bool:
    done = subprocess.run([python, "-c", FITS], capture_output=True, check=False)
    return done.returncode == 0


def _manifest(root: Path) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    return known


def _is_of_other(name: str, release: str) -> bool:
    first = name.partition("/")[0]
    return first.startswith("verl-") and first != release


def _foreign(root: Path, wanted: dict[str, str]) -> str | None:
    """A file that a set-up would replace though no set-up sent it; None if there is none.

    A checkout has such files. Files of a set-up that was cut off do not count: they have the digest
    with which they were sent.
    """
    if (root / MANIFEST).exists():
        return None
    there = [name for name in wanted if (root / name).exists()]
    is_checkout = any((root.parent / name).exists() for name in CHECKOUT)
    return next(
        (name for name in there if is_checkout or _digest(root / name) != wanted[name]), None
    )


def _inside(root: Path, name: str) -> Path:
    if name.startswith("/") or ".." in Path(name).parts:
        raise ValueError(f"{name} would lie outside {root}")
    return root / name


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    return file.read() if file else b""


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + f".part-{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
