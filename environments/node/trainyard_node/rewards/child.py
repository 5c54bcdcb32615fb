"""The process that runs the user's reward function: `python -m trainyard_node.rewards.child`.

The first argument is a file with one JSON document, the second the descriptor of a socket, on which
it reports its progress as JSON lines. Standard output belongs to the user's code.
"""

import asyncio
import ctypes
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainyard_node.rewards import call
from trainyard_node.rewards.judging import WrongReturn, judge
from trainyard_node.rewards.plain import LONGEST_TEXT, plain

MEBI = 1024 * 1024
PR_SET_PDEATHSIG = 1
LONGEST_TRACE = 60
LARGEST_EVENT = MEBI


def main() -> None:
    """Load the function, then call it for each row from `start` on."""
    job = json.loads(Path(sys.argv[1]).read_text())
    out = int(sys.argv[2])
    os.set_inheritable(out, False)
    _die_with_parent()
    _limit_memory(job["memory_mb"])
    try:
        function = _load(job)
    except BaseException as error:  # a file may do anything, such as call sys.exit()
        _tell(out, {"event": "unloadable", **told(error, job.get("path"))})
        return
    problem = call.signature_problem(function, job["kwargs"])
    _tell(out, {"event": "loaded", "signature_problem": problem})
    loop = asyncio.new_event_loop()
    for index, row in _rows(job):
        _tell(out, {"event": "called", "index": index})
        answer = _score(loop, function, row, job)
        _flush()
        _tell(out, {"event": "scored", "index": index, **answer})
        os.read(out, 1)  # wait until the trial has stored the output so far for this row
    _tell(out, {"event": "finished"})
    _flush()
    os._exit(0)  # threads of the user's code must not keep the process alive


def _load(job: dict[str, Any]) -> call.Function:
    if job["path"] is None:
        return call.builtin_function()
    return call.load_function(job["path"], job["name"])


def _rows(job: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(job["rows"], encoding="utf-8") as file:
        for index, line in enumerate(file):
            if index >= job["start"]:
                yield index, json.loads(line)


def _score(
    loop: asyncio.AbstractEventLoop,
    function: call.Function,
    row: dict[str, Any],
    job: dict[str, Any],
) -> dict[str, Any]:
    started = time.monotonic()
    try:
        result = call.call(loop, function, row, job["kwargs"])
        seconds = time.monotonic() - started
        score, parts = judge(result)
    except WrongReturn as error:
        return {"seconds": seconds, "kind": "wrong_return", "message": str(error)}
    except BaseException as error:  # the user's code may raise anything
        return {"seconds": time.monotonic() - started, **told(error, job["path"])}
    return {"seconds": seconds, "score": score, "parts": plain(parts)}


def told(error: BaseException, path: str | None) -> dict[str, Any]:
    """An exception as a document: kind, message, and its traceback from the user's file on (empty
    where that file is not in it)."""
    kind = "exit" if isinstance(error, SystemExit) else "exception"
    try:
        text = str(error)
    except Exception as other:  # the exception fails to give its own text
        text = f"(its text cannot be read: {type(other).__name__})"
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, MemoryError):
        message = "MemoryError: it needs more memory than the trial allows"
    return {"kind": kind, "message": message[:LONGEST_TEXT], "traceback": _trace(error, path)}


def _trace(error: BaseException, path: str | None) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    own = next((place for place, frame in enumerate(frames) if frame.filename == path), None)
    if own is None:
        return []
    lines = [line for text in traceback.format_list(frames[own:]) for line in text.splitlines()]
    if len(lines) > LONGEST_TRACE:
        half = LONGEST_TRACE // 2
        lines = [*lines[:half], f"  … {len(lines) - 2 * half} lines left out", *lines[-half:]]
    return [line[:500] for line in lines]


def _die_with_parent() -> None:
    """On Linux, end this process when the trial is killed: nobody else would end it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory(mebibytes: int) -> None:
    # Limit data, not address space: libraries reserve far more addresses than they use.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = mebibytes * MEBI
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed or replaced by the user's code
            continue


def _tell(out: int, event: dict[str, Any]) -> None:
    data = json.dumps(event).encode() + b"\n"
    if len(data) > LARGEST_EVENT:
        parts = {"parts": f"(left out: {len(data)} bytes of JSON)"}
        data = json.dumps({**event, "parts": parts}).encode() + b"\n"
    while data:
        data = data[os.write(out, data) :]


if __name__ == "__main__":
    main()
