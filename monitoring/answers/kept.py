"""Keeps the columns of a step's file, so that the file is read once, and read on as it grows."""

import json
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from compute.runners.far.common import open_file
from monitoring.answers.building import REAL, WHOLE, built
from monitoring.answers.rows import LeftOut
from monitoring.answers.step import Step

RELEASE = 1  # of the layout: what another release wrote is made anew
COLUMNS = (*WHOLE, *REAL, "keys", "texts")
PROBE = 4096  # bytes at both ends of what was read, by which a file is known again
BROKEN = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError)


@dataclass(frozen=True)
class State:
    """What a file was like when it was read."""

    size: int
    modified: int
    probe: str


def step_of(path: Path, kept: Path | None = None) -> Step:
    """The columns of a step's file, from the file ``kept`` as far as it is of the same. Raises
    ``OSError`` where the file itself cannot be read; where nothing can be kept, nothing is."""
    if kept is None:
        return built(path)
    facts = path.stat()
    before, state = loaded(kept)
    if before and state:
        if (facts.st_size, facts.st_mtime_ns) == (state.size, state.modified):
            return before.at(path)
        if state.probe != _probe(path, before.left_out.end):  # another file took its place
            before = None
    step = built(path, before)
    with suppress(OSError):  # a full disk: it is read again the next time
        state = State(facts.st_size, facts.st_mtime_ns, _probe(path, step.left_out.end))
        _keep(step, state, kept)
    return step


def is_kept(path: Path, kept: Path) -> bool:
    """Whether the columns of a file are kept, as it is now."""
    return some_of(path, kept, ()) is not None


def some_of(path: Path, kept: Path, names: Sequence[str]) -> dict[str, Any] | None:
    """A few of the columns of a file, and under ``part:NAME`` all parts of the reward; None where
    they are not kept of the file as it is now."""
    try:
        facts = path.stat()
        with np.load(kept) as found:
            about = json.loads(bytes(found["about"]))
            state = about["state"]
            if about["release"] != RELEASE:
                return None
            if (facts.st_size, facts.st_mtime_ns) != (state["size"], state["modified"]):
                return None
            parts = {f"part:{name}": found[f"part_{n}"] for n, name in enumerate(about["parts"])}
            return {name: found[name] for name in names} | parts
    except BROKEN:
        return None


def loaded(kept: Path) -> tuple[Step | None, State | None]:
    """What is kept, and of which file; (None, None) where that is nothing, or cannot be used."""
    try:
        with np.load(kept) as found:
            about = json.loads(bytes(found["about"]))
            if about["release"] != RELEASE:
                return None, None
            parts = {name: found[f"part_{n}"] for n, name in enumerate(about["parts"])}
            columns = {name: found[name] for name in COLUMNS}
        step = Step(
            path=kept, **columns, parts=parts, padding=about["padding"],
            left_out=LeftOut(**about["left_out"]),
        )  # fmt: skip
        return step, State(**about["state"])
    except BROKEN:
        return None, None


def _keep(step: Step, state: State, kept: Path) -> None:
    about = {
        "release": RELEASE, "state": asdict(state), "parts": list(step.parts),
        "padding": step.padding, "left_out": asdict(step.left_out),
    }  # fmt: skip
    columns = {name: getattr(step, name) for name in COLUMNS}
    columns |= {f"part_{n}": column for n, column in enumerate(step.parts.values())}
    # A name may hold a lone surrogate, which only escapes can write.
    columns["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f".{kept.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, **columns)
        part.replace(kept)
    finally:
        part.unlink(missing_ok=True)


def _probe(path: Path, end: int) -> str:
    """By its beginning and by what stands before ``end`` a file that only grew is known again.

    Of a shorter file nothing is known: fewer bytes give another digest.
    """
    with open_file(path) as file:
        head = file.read(min(PROBE, end))
        file.seek(max(0, end - PROBE))
        return blake2b(head + file.read(min(PROBE, end))).hexdigest()
