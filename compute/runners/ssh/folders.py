"""Sends folders such as models to a far machine: only files that it lacks, and all or nothing."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from compute.runners.base import Piece, RunnerError, Told
from compute.runners.far.common import frame
from compute.runners.ssh import transfer
from compute.runners.ssh.connection import Connection
from compute.runners.ssh.files import read_header
from compute.runners.ssh.process import MOST_LAST_WORDS, Cut
from compute.runners.ssh.programs import LOADER, MARK, program
from platform_site.counts import size_text

FILES, MODELS = "files", "models"  # below the work folder
MARGIN = 1 << 30  # bytes that must be left free after a folder was sent
LOOKED_WITHIN = 120.0  # seconds


def digest_of(pieces: Sequence[Piece]) -> str:
    """SHA-256 of what the folder holds: every name with its size and digest, in any order."""
    listed = sorted([piece.name, piece.size, piece.digest] for piece in pieces)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def put(
    connection: Connection, python: str, workdir: str, pieces: Sequence[Piece], told: Told
) -> str:
    """Send what is missing of a folder and make it there (see ``far/folder.py``); its path."""
    folder = f"{workdir}/{MODELS}/{digest_of(pieces)}"
    at = {f"{workdir}/{FILES}/{piece.digest}": piece for piece in pieces}
    parts = [
        {"name": piece.name, "kept": f"{workdir}/{FILES}/{piece.digest}", "size": piece.size}
        for piece in pieces
    ]
    asked = {"folder": folder, "parts": parts}
    there = _ask(connection, python, {"do": "look", **asked})
    total = sum(piece.size for piece in at.values())
    if not there["there"]:
        missing = {place: piece for place, piece in at.items() if place in there["missing"]}
        _check_room(there, missing, str(connection.address))
        done = total - sum(piece.size for piece in missing.values())
        for place, piece in missing.items():
            tell = _after(done, total, told)
            transfer.put(connection, python, piece.source, place, piece.digest, tell)
            done += piece.size
        _ask(connection, python, {"do": "make", **asked})
    told(total, total)
    return folder


def _check_room(there: dict[str, Any], missing: dict[str, Piece], name: str) -> None:
    needed = sum(piece.size for piece in missing.values()) - there["begun"]
    if there["free"] < needed + MARGIN:
        raise RunnerError(
            f"The disk of {name} has {size_text(there['free'])} free; {size_text(needed)} are to "
            f"be sent, and {size_text(MARGIN)} must be left. Make room there, or name a model "
            "that is there."
        )


def _after(before: int, total: int, told: Told) -> Told:
    """Report the progress of one file as progress of the whole folder."""
    return lambda done, _: told(before + done, total)


def _ask(connection: Connection, python: str, asked: dict[str, Any]) -> dict[str, Any]:
    with connection.start([python, "-c", LOADER]) as process:
        try:
            process.send(program("folder") + frame(asked), LOOKED_WITHIN)
            process.read_past(MARK, MOST_LAST_WORDS, LOOKED_WITHIN)
            answer = read_header(process, LOOKED_WITHIN)
        except Cut:
            raise process.last_words() from None
        except ValueError as error:
            raise RunnerError(f"{process.name} gave an answer that is none: {error}.") from error
    if "error" in answer:
        raise RunnerError(f"{connection.address} could not do it: {answer['error']}.")
    return _checked(answer, asked, str(connection.address))


def _checked(answer: dict[str, Any], asked: dict[str, Any], name: str) -> dict[str, Any]:
    """Refuse an answer that lacks a figure, or has one of the wrong kind: all are used."""
    if asked["do"] == "make" or answer.get("there") is True:
        return answer
    figures = [answer.get("begun"), answer.get("free")]
    if not isinstance(answer.get("missing"), list) or not all(type(n) is int for n in figures):
        raise RunnerError(f"{name} did not say what it has of the folder.")
    return {"there": False, **answer}
