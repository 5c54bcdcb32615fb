"""The run directory: names of its files, its script, and what its small files say."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence

from compute.runners.base import Examined
from compute.runners.text import bounded

SCRIPT = "run.sh"
LOCK = "lock"
LOG = "train.log"
METRICS = "metrics.jsonl"
SYSTEM = "system.jsonl"
EVENTS = "events.jsonl"
PROVENANCE = "provenance.jsonl"
PID = "pid"
HEARTBEAT = "heartbeat"
EXIT_CODE = "exit_code"
CONTROL = "control"
MOST_CODE = 2**15
MOST_FAULTS = 20


def write_script(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> str:
    """Write the script that starts a process: the one place where a command becomes a string.

    Every argument is quoted, so a hostile name stays one argument. The script runs by hand as
    well, and has a line for each ``key=value``.
    """
    exports = [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    command = shlex.quote(argv[0])
    for argument in argv[1:]:
        on_a_new_line = "=" in argument and not argument.startswith("-")
        command += (" \\\n  " if on_a_new_line else " ") + shlex.quote(argument)
    lines = ["#!/usr/bin/env bash", *exports, f"cd {shlex.quote(cwd)} || exit 1", f"exec {command}"]
    return "\n".join(lines) + "\n"


def read_exit_code(text: str | None) -> int | None:
    """The exit code that the wrapper wrote, or None while it wrote none."""
    try:
        code = int(text) if text else None
    except ValueError:
        return None
    # A process ends with no other code, though a machine may write anything into the file.
    return code if code is None or -MOST_CODE <= code <= MOST_CODE else MOST_CODE


def read_heartbeat(text: str | None) -> float | None:
    """Epoch seconds of the wrapper's last sign of life, or None."""
    try:
        beat = float(text) if text else None
    except ValueError:
        return None
    return beat if beat is not None and math.isfinite(beat) else None


def read_alive(text: str) -> tuple[bool, bool]:
    """Read the answer of ``trainyard_node.alive``: is the wrapper there, is the process there.

    Raises ``ValueError`` when the text is no such answer.
    """
    facts = json.loads(text)
    try:
        return bool(facts["wrapper"]), bool(facts["process"])
    except (KeyError, TypeError):
        raise ValueError(f"{text[:80]!r} does not say what is alive") from None


def read_examined(text: str) -> Examined:
    """Read the answer of ``trainyard_node.examine``.

    Raises ``ValueError`` when the text is no such answer.
    """
    try:
        facts = json.loads(text)
        faults = tuple(bounded(str(fault)) for fault in facts["faults"][:MOST_FAULTS])
        return Examined(int(facts["step"]), int(facts["world_size"]), faults)
    except (KeyError, TypeError, OverflowError):
        raise ValueError(f"{text[:80]!r} does not say what a checkpoint is worth") from None
