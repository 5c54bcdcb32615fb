"""Far side: take a file in, at the place where it was cut off, and give it its name when it is
whole and right.

``<folder>/<name>`` is there only when its SHA-256 was checked; ``.<name>.checked`` holds its size
and change time then. What is not whole yet is ``.part``.
"""

import errno
import fcntl
import hashlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from compute.runners.far.checked import is_checked, mark
from compute.runners.far.common import give, place, take

CHUNK = 1 << 20
SILENT_FOR = 30  # seconds without a byte, then the sender is taken for gone
HASHED_AT = 10 << 20  # bytes a second
FULL = (errno.ENOSPC, errno.EDQUOT)
LOOK_AGAIN = 0.5  # seconds, while somebody else sends the same file


def main() -> None:
    asked = take(sys.stdin.buffer)
    if asked is None:
        return
    try:
        give(receive(asked))
    except OSError as error:
        give({"error": error.strerror or str(error), "full": error.errno in FULL})


def receive(asked: Any) -> Any:
    folder = place(asked["folder"])
    os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as lock:
        wait_for(lock)
        path = folder / asked["name"]
        if is_checked(path, asked["size"]) or is_right(path, asked) or has_twin(path, asked):
            return {"done": True}
        return receive_rest(folder / ".part", path, asked)


def wait_for(lock: Any) -> None:
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            give({"waiting": True})
            time.sleep(LOOK_AGAIN)


def is_right(path: Path, asked: Any) -> bool:
    """Whether the file is whole, though its mark is missing or wrong."""
    if not path.is_file() or path.stat().st_size != asked["size"]:
        return False
    if hashed(path, asked["size"]).hexdigest() != asked["digest"]:
        return False
    mark(path)
    return True


def has_twin(path: Path, asked: Any) -> bool:
    """Whether the same content is here by another name; it is then linked."""
    for twin in path.parent.iterdir():
        if twin != path and is_checked(twin, asked["size"]):
            return link(twin, path)
    return False


def link(twin: Path, path: Path) -> bool:
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        part.hardlink_to(twin)
        part.replace(path)
    except OSError:  # not every disk has links; then it is sent
        return False
    mark(path)
    return True


def receive_rest(part: Path, path: Path, asked: Any) -> Any:
    have = min(part.stat().st_size, asked["size"]) if part.exists() else 0
    digest = hashed(part, have)
    give({"have": have, "prefix": digest.hexdigest()})
    # The sender looks through as much on its side. Whoever else sends this file waits meanwhile.
    signal.alarm(SILENT_FOR + have // HASHED_AT)
    answer = take(sys.stdin.buffer)
    signal.alarm(0)
    if answer is None:
        return {"error": "the sender is gone"}
    if answer["from"] != have:
        have, digest = 0, hashlib.sha256()
    with part.open("r+b" if have else "wb", buffering=0) as file:
        file.truncate(have)
        file.seek(have)
        have += copy(file, digest, asked["size"] - have)
        os.fsync(file.fileno())
    if have < asked["size"]:
        return {"error": "the sender is gone"}
    if digest.hexdigest() != asked["digest"]:
        part.unlink()
        return {"wrong": digest.hexdigest()}
    part.replace(path)
    mark(path)
    return {"done": True}


def copy(file: Any, digest: Any, count: int) -> int:
    """From the standard input, until so many bytes came or no more come."""
    source: Any = sys.stdin.buffer
    buffer, copied = memoryview(bytearray(CHUNK)), 0
    while copied < count:
        signal.alarm(SILENT_FOR)  # ends this process, and what came stays in the part
        came = source.readinto1(buffer[: count - copied])
        signal.alarm(0)
        if not came:
            break
        write_all(file, buffer[:came])
        digest.update(buffer[:came])
        copied += came
    return copied


def write_all(file: Any, data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def hashed(path: Path, count: int) -> Any:
    """SHA-256 of the first ``count`` bytes. Signs of life are sent meanwhile."""
    digest, last = hashlib.sha256(), time.monotonic()
    if not count:
        return digest
    with path.open("rb") as file:
        while count and (data := file.read(min(CHUNK, count))):
            digest.update(data)
            count -= len(data)
            if time.monotonic() > last + 1:
                give({"hashing": True})
                last = time.monotonic()
    return digest
