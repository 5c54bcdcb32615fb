"""Files to and from a far machine: only what is missing, and only believed when checked."""

import re
from pathlib import Path
from typing import Any, BinaryIO

from compute.runners.base import RunnerError, RunnerUnsure, Told, Unreachable
from compute.runners.connection import Connection
from compute.runners.far import LOADER, MARK, program
from compute.runners.far.common import frame
from compute.runners.files import read_header
from compute.runners.parts import Part, hash_start
from compute.runners.process import MOST_LAST_WORDS, Cut, FarProcess

CHUNK = 1 << 20
SILENT_FOR = 60.0  # seconds without a word from the far side
BUSY_FOR = 12 * 3600 * 2  # times, half a second apart, that somebody else may send this file
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
        header = _begin(process, "send", asked)
        part.begin_at(header["from"])
        told(part.have, header["size"])
        try:
            while part.have < header["size"]:
                part.add(process.some(header["size"] - part.have, SILENT_FOR))
                told(part.have, header["size"])
            trailer = read_header(process, SILENT_FOR)
        except (Cut, RunnerUnsure) as error:
            raise _cut(process, part.have, header["size"]) from error
        part.finish(trailer["digest"])


def _put(process: FarProcess, file: BinaryIO, asked: dict[str, Any], told: Told) -> None:
    size = asked["size"]
    header = _begin(process, "receive", asked)
    if "have" in header:
        have, digest = hash_start(file, header["have"])
        if digest.hexdigest() != header["prefix"]:
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
        pass  # its answer says why: a full disk, for one
    return have


def _begin(process: FarProcess, name: str, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        process.send(program(name) + frame(asked), SILENT_FOR)
        process.read_past(MARK, MOST_LAST_WORDS, SILENT_FOR)
        header = _answer(process)
    except Cut:
        raise process.last_words() from None
    if "error" in header:
        _raise_for(header, process.name)
    return header


def _answer(process: FarProcess) -> dict[str, Any]:
    """The next word that is more than a sign of life."""
    waited = 0
    while waited <= BUSY_FOR:
        header = read_header(process, SILENT_FOR)
        if "waiting" in header:
            waited += 1
        elif "hashing" not in header:
            return header
    raise RunnerError(f"{process.name} is still busy with this file. Try again later.")


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
