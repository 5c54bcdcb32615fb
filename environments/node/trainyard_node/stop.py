"""`python -m trainyard_node.stop DIR [--grace SECONDS]`: end an attempt's run.

Prints JSON. `signalled` is "wrapper" (it ends the run; this returns at once), "process" (the
wrapper is dead: the run was ended from here, after waiting for it) or "nothing".
"""

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from trainyard_node import discard, processes
from trainyard_node.attempt import Attempt, Lines, record_event, write_atomic
from trainyard_node.identity import exists, is_alive
from trainyard_node.record import Record, read_record


def main(argv: Sequence[str] | None = None) -> int:
    """Stop the attempt named on the command line; 0 also when there is nothing to stop."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.stop", description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--grace", type=float, default=20.0, help="seconds, SIGTERM to SIGKILL")
    arguments = parser.parse_args(argv)
    print(json.dumps(stop(Attempt.at(arguments.directory), max(0.0, arguments.grace))))
    return 0


def stop(attempt: Attempt, grace: float) -> dict[str, Any]:
    """End the run, with `grace` seconds between SIGTERM and SIGKILL.

    Signals only processes that provably belong to this attempt: a recorded pid with its start time,
    on the boot where it was recorded, and processes in its session or with its mark.
    """
    record = read_record(attempt)
    if record is None:
        return _stop_without_record(attempt, grace)
    if not record.is_of_this_boot():
        return _nothing("started on another boot or machine")
    _leave_grace(attempt, grace)
    if is_alive(record.wrapper):
        os.kill(record.wrapper.pid, signal.SIGTERM)
        return {"signalled": "wrapper", "pid": record.wrapper.pid, "grace": grace}
    if not survivors(record):
        _discard(attempt)
        return _nothing("nothing of this run is alive")
    return _end_orphans(attempt, record, grace)


def survivors(record: Record) -> list[processes.Process]:
    """The living processes of a run whose wrapper is dead.

    While the run's own process lives, the processes of its session and those with its mark count.
    When it has ended, only those with the inherited mark count; when another process has its pid,
    none count.
    """
    if is_alive(record.process):
        return _unique(processes.in_session(record.pgid) + processes.marked(record.mark))
    if exists(record.process.pid):
        return []
    return processes.marked(record.mark)


def _end_orphans(attempt: Attempt, record: Record, grace: float) -> dict[str, Any]:
    said = "the wrapper is gone: ending its run"
    record_event(Lines(attempt.events), "stop_asked", said, grace=grace)
    return _end(attempt, survivors(record), grace)


def _stop_without_record(attempt: Attempt, grace: float) -> dict[str, Any]:
    """Find processes by the directory's name: it may have been removed while they run."""
    found = processes.in_run(str(attempt.root))
    return _end(attempt, found, grace) if found else _nothing("no pid file")


def _end(attempt: Attempt, found: list[processes.Process], grace: float) -> dict[str, Any]:
    events = Lines(attempt.events)

    def still() -> list[processes.Process]:
        return [p for p in _unique(found + _offspring(found)) if processes.lives(p)]

    left = processes.end(still, grace)
    if not left:
        _discard(attempt)
    pids = [process.pid for process in found]
    record_event(
        events,
        "killed",
        f"ended {len(pids)} process{'' if len(pids) == 1 else 'es'} of the run",
        pids=pids,
    )
    return {"signalled": "process", "pids": pids, "left": [process.pid for process in left]}


def _offspring(found: list[processes.Process]) -> list[processes.Process]:
    return [child for process in found for child in processes.descendants(process.pid)]


def _unique(found: list[processes.Process]) -> list[processes.Process]:
    return [process for process in dict.fromkeys(found) if process.pid != os.getpid()]


def _discard(attempt: Attempt) -> None:
    with contextlib.suppress(OSError):
        discard.carry_out(attempt)


def _leave_grace(attempt: Attempt, grace: float) -> None:
    with contextlib.suppress(OSError):
        attempt.stop_request.parent.mkdir(exist_ok=True)
        write_atomic(attempt.stop_request, json.dumps({"grace": grace}) + "\n")


def _nothing(reason: str) -> dict[str, Any]:
    return {"signalled": "nothing", "reason": reason}


if __name__ == "__main__":
    sys.exit(main())
