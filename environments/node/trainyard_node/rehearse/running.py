"""Run the trainer's own command, with its output in the log, and say what broke it."""

import collections
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from trainyard_node.record import RUN_DIR
from trainyard_node.rehearse.plan import Fault

KEPT = 3000  # lines of output
ERROR = re.compile(
    r"^(?:[A-Za-z_][\w.]*\.)?(?:Exception|[A-Z]\w*(?:Error|Exception|Exit|TooLong|Interrupt))\b.*"
)
RAY = re.compile(r"^(?:\x1b\[[0-9;]*m)?\([\w.]+ pid=\d+(?:, ip=[\d.]+)?\)(?:\x1b\[[0-9;]*m)? ?")
RANK = re.compile(r"^\[rank\d+\]: ?")  # before each line of a traceback under torchrun
WRAPPERS = ("ray.exceptions.", "RayTaskError", "torch.distributed.elastic", "ChildFailedError")
MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|No available memory for the cache blocks"
    r"|less than desired GPU memory utilization"  # vLLM, where others have the card
)
HYDRA = re.compile(r"^(?:Could not|Key '|Error (?:executing|merging|in call)|In ')")


def run(argv: Sequence[str], folder: Path, env: Mapping[str, str], minutes: float) -> None:
    """Raises Fault when the process does not end with 0 in time. Its events lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **env, RUN_DIR: str(folder)},
        start_new_session=True,
    )
    lines: collections.deque[str] = collections.deque(maxlen=KEPT)
    assert process.stdout is not None
    reader = threading.Thread(target=_copied, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        code = process.wait(minutes * 60)
    except subprocess.TimeoutExpired:
        raise Fault(f"The trainer did not end within {minutes:g} minutes.") from None
    finally:
        _end(process)
    reader.join(5)  # what the trainer left behind may hold its output open
    if code:
        raise Fault(f"{reason_in(list(lines)) or 'It gave no reason.'} (Exit code {code}.)")


def _copied(output: IO[bytes], lines: "collections.deque[str]") -> None:
    for line in output:
        text = line.decode("utf-8", "replace")
        sys.stdout.write(text)
        sys.stdout.flush()
        lines.append(text.rstrip("\n"))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """The trainer's own session, and whatever of it is left."""
    for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sign)
        except (ProcessLookupError, PermissionError):
            return
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def reason_in(lines: Sequence[str]) -> str:
    """The line that says what broke: that memory ran out, or else that of the first traceback that
    is no mere wrapper of another."""
    plain = [RANK.sub("", RAY.sub("", line)).strip() for line in lines]
    hydra = [line for line in plain if HYDRA.match(line)]
    found = [line for line in plain if ERROR.match(line)]
    own = [line for line in found if not any(word in line for word in WRAPPERS)]
    full = [line for line in found if MEMORY.search(line)]
    return (full or own or hydra or found or [""])[0][:500]
