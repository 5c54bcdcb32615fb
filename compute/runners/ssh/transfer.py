"""Copies files to and from a far machine: only missing bytes go, and every file is checked."""

import re
import time
from pathlib import Path
from typing import Any, BinaryIO

from compute.runners.base import RunnerError, RunnerUnsure, Told, Unreachable
from compute.runners.far.common import frame
from compute.runners.local.parts import Part, hash_start
from compute.runners.ssh.connection import Connection
from compute.runners.ssh.files import read_header
from compute.runners.ssh.process import MOST_LAST_WORDS, Cut, FarProcess
from compute.runners.ssh.programs import LOADER, MARK, program

CHUNK = 256 << 10  # each must be taken within SILENT_FOR: 4 kB a second are enough
SILENT_FOR = 60.0  # seconds without a word from the far side
BUSY_FOR = 12 * 3600.0  # seconds that somebody else may take to send this file
MOST_WORDS = 2 * BUSY_FOR  # of them a second, at most
SLOWEST = 4096  # bytes a second of a file that comes
LARGEST = 2**60  # bytes
HASHED_AT = 1 << 20  # bytes a second: the slowest disk that is waited for
LONGEST_NAME = 150
DIGEST = re.compile(r"[0-9a-f]{64}")


def safe_name(name: str) -> str:
    """A file's name for the far disk; its ending is kept, for what reads it goes by that."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-LONGEST_NAME:]
    return re.sub(r"^[.-]", "_", plain) or "file"


def put(
    connection: Connection, python: str, source: Path, folder: str, digest: str, told: Told
) -> None:
    """Send what is missing of a file to ``folder`` (see ``far/receive.py``)."""
    asked: dict[str, Any] = {"folder": folder, "name": safe_name(source.name), "digest": digest}
    try:
        with source.open("rb") as file, connection.start([python, "-c", LOADER]) as process:
            asked["size"] = source.stat().st_size
            _put(process, file, asked, told)
    except OSError as error:
        raise RunnerError(f"{source} cannot be read: {error.strerror}.") from error


def get(connection: Connection, python: str, path: str, target: Path, told: Told) -> None:
    """Bring a file here (see ``far/send.py``)."""
    with Part(target) as part, connection.start([python, "-c", LOADER]) as process:
        asked = {"path": path, "have": part.have, "prefix": part.digest.hexdigest()}
        header = _begin(process, "send", asked, part.have)
        size = _figure(header, "size", process.name)
        part.begin_at(_figure(header, "from", process.name))
        told(part.have, size)
        ends = time.monotonic() + SILENT_FOR + (size - part.have) / SLOWEST
        try:
            while part.have < size:
                if time.monotonic() > ends:
                    raise Cut(f"{process.name} is too slow.")
                part.add(process.some(size - part.have, SILENT_FOR))
                told(part.have, size)
            trailer = _answer(process)
        except (Cut, RunnerUnsure) as error:
            raise _cut(process, part.have, size) from error
        part.finish(str(trailer.get("digest")))


def _put(process: FarProcess, file: BinaryIO, asked: dict[str, Any], told: Told) -> None:
    size = asked["size"]
    header = _begin(process, "receive", asked, size)
    if "have" in header:
        have, digest = hash_start(file, _figure(header, "have", process.name))
        if digest.hexdigest() != header.get("prefix"):
            have = 0
            file.seek(0)
        sent = _send(process, file, have, size, told)
        try:
            header = _answer(process)
        except (Cut, RunnerUnsure) as error:
            raise _cut(process, sent, size) from error
    _raise_for(header, process.name)
    told(size, size)


def _send(process: FarProcess, file: BinaryIO, have: int, size: int, told: Told) -> int:
    """How many bytes of the file are there, as far as this side knows."""
    told(have, size)
    try:
        process.send(frame({"from": have}), SILENT_FOR)
        while have < size and (data := file.read(min(CHUNK, size - have))):
            process.send(data, SILENT_FOR)
            have += len(data)
            told(have, size)
        process.end_input()
    except Cut:
        pass  # its answer says why, such as a full disk
    return have


def _begin(process: FarProcess, name: str, asked: dict[str, Any], size: int) -> dict[str, Any]:
    try:
        process.send(program(name) + frame(asked), SILENT_FOR)
        process.read_past(MARK, MOST_LAST_WORDS, SILENT_FOR)
        header = _answer(process, size)
    except Cut:
        raise process.last_words() from None
    if "error" in header:
        _raise_for(header, process.name)
    return header


def _answer(process: FarProcess, size: int = 0) -> dict[str, Any]:
    """The next answer that is no sign of life. ``size`` bytes at most are hashed before it."""
    ends, hashed_for = time.monotonic() + BUSY_FOR, SILENT_FOR + size / HASHED_AT
    waited = hashed = 0
    while time.monotonic() < ends and waited <= MOST_WORDS and hashed <= hashed_for:
        try:
            header = read_header(process, SILENT_FOR)
        except ValueError as error:
            raise RunnerError(f"{process.name} gave an answer that is none: {error}.") from error
        if "waiting" in header:
            waited += 1
        elif "hashing" in header:  # at most one a second
            hashed += 1
        else:
            return header
    raise RunnerError(f"{process.name} is still busy with this file. Try again later.")


def _figure(header: dict[str, Any], name: str, of: str) -> int:
    """A number of bytes that the far side reports. Raises ``RunnerError`` when it is none."""
    told = header.get(name)
    if not isinstance(told, int) or not 0 <= told <= LARGEST:
        raise RunnerError(f"{of} does not say how many bytes there are.")
    return told


def _raise_for(header: dict[str, Any], name: str) -> None:
    if header.get("full"):
        raise RunnerError(
            f"The disk of {name} is full. What was sent is kept there; make room and send again."
        )
    if "wrong" in header:
        raise RunnerError(
            f"What arrived at {name} has the SHA-256 {header['wrong']}, which is not the file's. "
            "Did it change meanwhile? It was thrown away there."
        )
    if "error" in header:
        raise RunnerError(f"{name} could not do it: {header['error']}.")


def _cut(process: FarProcess, have: int, size: int) -> RunnerError:
    return Unreachable(
        f"The connection to {process.name} was cut after {have} of {size} bytes. What arrived "
        "is kept; the rest comes when it is asked for again."
    )
