"""Far side: give a file out, from the place where it was cut off, and its SHA-256 at the end."""

import hashlib
import os
import sys
import time
from typing import Any

from compute.runners.far.common import give, open_file, place, take

CHUNK = 1 << 20


def main() -> None:
    asked = take(sys.stdin.buffer)
    if asked is None:
        return
    try:
        with open_file(place(asked["path"])) as file:
            send(file, os.fstat(file.fileno()).st_size, asked)
    except OSError as error:
        give({"error": error.strerror or str(error)})


def send(file: Any, size: int, asked: Any) -> None:
    have = asked["have"] if asked["have"] <= size else 0
    digest = hashed(file, have)
    if digest.hexdigest() != asked["prefix"]:
        have, digest = 0, hashlib.sha256()
    file.seek(have)
    give({"size": size, "from": have})
    left = size - have
    while left and (data := file.read(min(CHUNK, left))):
        digest.update(data)
        sys.stdout.buffer.write(data)
        left -= len(data)
    # A file that was cut shorter meanwhile: whoever counts on so many bytes sees that they end.
    if left:
        sys.exit(f"{asked['path']} became shorter while it was read")
    give({"digest": digest.hexdigest()})


def hashed(file: Any, count: int) -> Any:
    digest, last = hashlib.sha256(), time.monotonic()
    while count and (data := file.read(min(CHUNK, count))):
        digest.update(data)
        count -= len(data)
        if time.monotonic() > last + 1:
            give({"hashing": True})
            last = time.monotonic()
    return digest
