"""`python -m trainyard_node.ray_call ORDER`: answer one question about the node that runs this.

ORDER is JSON, compressed and in base64: {"do", …}. The answer is one line, ANSWER and JSON in
base64: {"said"} or {"error"}, a sentence. Only the fixed set of questions below is allowed.
"""

import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from trainyard_node import alive, examine, stack, stop
from trainyard_node.attempt import Attempt
from trainyard_node.frames import write_all
from trainyard_node.ray_job import read_order
from trainyard_node.relay import MOST_LISTED, files_below

ANSWER = "@trainyard-answer"
MOST_READ = 8 << 20  # bytes
CHUNK = 1 << 20
SENT = "sent"  # the folder in a sent package, whose files are named by numbers
ASKS = ("pause", "save")
# What may be removed: a whole run, a checkpoint, or what a run made besides.
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
MADE = re.compile(
    rf"/runs/({UUID}|[^/]+/attempt-[0-9]+/(checkpoints/[^/]+|model|adapter|comparison))\Z"
)
# Printed by the platform's probe of a machine, which is sent beside this package.
PROBE = Path(__file__).resolve().parent.parent / "trainyard_probe.py"


class Refused(Exception):
    """The question is refused; the message is a sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the question on the command line; return 0 even if the answer is an error."""
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) != 1:
        print("usage: python -m trainyard_node.ray_call ORDER", file=sys.stderr)
        return 2
    said = json.dumps(answer(read_order(argv[0]))).encode()
    write_all(1, f"{ANSWER} ".encode() + base64.b64encode(said) + b"\n")
    return 0


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """The answer to one order."""
    asked = dict(order)
    act = DOES.get(asked.pop("do", ""))
    if act is None:
        return {"error": "That is nothing that can be asked of a node."}
    try:
        return {"said": act(**asked)}
    except Refused as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"{error.filename or 'It'} cannot be read: {error.strerror}"}


def _read(path: str, offset: int, limit: int) -> str:
    try:
        if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for
            raise Refused(f"{path} cannot be read: It is no plain file")
        with Path(path).open("rb") as file:
            file.seek(offset)
            return base64.b64encode(file.read(min(limit, MOST_READ))).decode()
    except FileNotFoundError:
        return ""


def _stat(path: str) -> list[float] | None:
    try:
        facts = Path(path).stat()
    except OSError:
        return None
    return [facts.st_size, facts.st_mtime]


def _exists(path: str) -> bool:
    return Path(path).exists()


def _files(path: str) -> list[tuple[str, int, float]]:
    found = list(islice(files_below(Path(path)), MOST_LISTED + 1))
    if len(found) > MOST_LISTED:
        raise Refused(f"{path} has more than {MOST_LISTED} files.")
    return found


def _ask(folder: str, what: str) -> None:
    if what not in ASKS:
        raise Refused(f"A run cannot be asked to {what}.")
    control = Attempt.at(folder).control
    try:
        control.mkdir(exist_ok=True)
        (control / what).touch()
    except OSError as error:
        raise Refused(f"The run could not be asked to {what}: {error}") from error


def _stop(folder: str, grace: float) -> dict[str, Any]:
    return stop.stop(Attempt.at(folder), max(0.0, grace))


def _alive(folder: str) -> dict[str, Any]:
    return alive.look(Attempt.at(folder))


def _examine(folder: str) -> str:
    if not examine.FOLDER.fullmatch(Path(folder).name):
        raise Refused(f"{folder} is no global_step_N.")
    return json.dumps(asdict(examine.examine(Path(folder))))


def _stack(folder: str) -> str:
    return stack.describe(Attempt.at(folder))


def _lacking(packages: list[str]) -> list[str]:
    return [name for name in packages if not importlib.util.find_spec(name)]


def _has(path: str, size: int) -> bool:
    """Whether a sent file is there: it gets its name only after its digest was checked."""
    found = Path(path)
    return found.is_file() and found.stat().st_size == size


def _put(path: str, digest: str) -> None:
    """Copy the one file that Ray brought to this job's working directory to `path`.

    The copy gets its name only after its SHA-256 was found to be `digest`.
    """
    _take(Path.cwd() / SENT / "0", Path(path), digest)


def _take(package: Path, target: Path, digest: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with package.open("rb") as file, part.open("wb") as out:
            found = hashlib.sha256()
            while data := file.read(CHUNK):
                found.update(data)
                out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if found.hexdigest() != digest:
            raise Refused("What came is not what was sent: its SHA-256 differs.")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _has_folder(path: str, parts: list[tuple[str, int, str]]) -> bool:
    """Whether a sent folder is there with all of its files."""
    return all(_has(f"{path}/{name}", size) for name, size, _ in parts)


def _put_folder(path: str, parts: list[tuple[str, int, str]]) -> None:
    """Make a folder of the files that Ray brought.

    `parts` has the name, size and SHA-256 of each file, in the order in which they were sent.
    """
    folder = Path(path)
    new = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        for number, (name, _, digest) in enumerate(parts):
            if name.startswith("/") or ".." in Path(name).parts:
                raise Refused(f"{name} is no name within a folder.")
            _take(Path.cwd() / SENT / str(number), new / name, digest)
        if folder.exists():  # a folder with missing or changed files
            folder.rename(folder.with_name(f".{folder.name}.{os.getpid()}.old"))
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(folder.with_name(f".{folder.name}.{os.getpid()}.old"), ignore_errors=True)


def _bar(folder: str) -> bool:
    """Take the lock that a wrapper must be the first to hold; return False if it is taken."""
    attempt = Attempt.at(folder)
    attempt.root.mkdir(parents=True, exist_ok=True)
    try:
        attempt.lock.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _remove(folder: str) -> dict[str, int | None]:
    """Remove a folder that a run made; return its size in bytes, None if there is no such folder.

    The folder is renamed first, so that nobody takes a half-removed one for a whole one.
    """
    path = Path(folder)
    if not MADE.search(folder) or ".." in path.parts or path.is_symlink():
        raise Refused(f"{folder} is no folder that a run made.")
    away = path.with_name(f".{path.name}.removed")
    left, freed = away.is_dir(), _bytes_below(away)  # of a removal that was cut off
    shutil.rmtree(away, ignore_errors=True)
    if not path.is_dir():
        return {"freed": freed if left else None}
    path.rename(away)
    freed += _bytes_below(away)
    shutil.rmtree(away)
    return {"freed": freed}


def _bytes_below(folder: Path) -> int:
    files = (Path(where, name) for where, _, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_size for file in files)


def _probe(workdir: str, limit: float) -> str:
    asked = json.dumps({"python": sys.executable, "workdir": workdir, "within": limit})
    done = subprocess.run(
        [sys.executable, str(PROBE), asked], capture_output=True, text=True, timeout=limit + 20
    )
    if done.returncode:
        raise Refused((done.stderr.strip().splitlines() or ["The probe failed."])[-1])
    return done.stdout


def _leave(folder: str, name: str) -> str:
    """Write a mark to the work folder, to see whether the other nodes share it. Return the host."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(socket.gethostname())
    return socket.gethostname()


def _sees(folder: str, name: str, limit: float) -> bool:
    """Whether the mark is visible here; on a network file system it may take a moment."""
    deadline = time.monotonic() + limit
    while not (Path(folder) / name).is_file():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _forget(folder: str, name: str) -> None:
    if "/" in name or not name.startswith(".trainyard-"):
        raise Refused("That is no mark of Trainyard's.")
    (Path(folder) / name).unlink(missing_ok=True)


def _disk(path: str) -> list[int]:
    try:
        found = shutil.disk_usage(path)
    except OSError as error:
        raise Refused(f"{path} cannot be measured: {error.strerror}") from error
    return [found.used, found.total]


DOES: dict[str, Callable[..., Any]] = {
    "read": _read,
    "stat": _stat,
    "exists": _exists,
    "files": _files,
    "ask": _ask,
    "stop": _stop,
    "alive": _alive,
    "examine": _examine,
    "stack": _stack,
    "lacking": _lacking,
    "has": _has,
    "put": _put,
    "has_folder": _has_folder,
    "put_folder": _put_folder,
    "bar": _bar,
    "remove": _remove,
    "probe": _probe,
    "leave": _leave,
    "sees": _sees,
    "forget": _forget,
    "disk": _disk,
}

if __name__ == "__main__":
    sys.exit(main())
