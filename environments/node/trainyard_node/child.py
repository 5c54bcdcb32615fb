"""Start the run's own process, and read its exit status."""

import json
import os
import subprocess

from trainyard_node.attempt import Attempt, read_small
from trainyard_node.record import MARK, RUN_DIR


def spawn(attempt: Attempt, mark: str) -> int:
    """Start `bash run.sh` as the leader of its own session; return its pid.

    The process writes directly to train.log, so it can go on without the wrapper.
    """
    with attempt.log.open("ab") as log:
        started = subprocess.Popen(
            ["bash", str(attempt.script)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=attempt.root,
            env={**os.environ, MARK: mark, RUN_DIR: str(attempt.root)},
            start_new_session=True,
        )
    # The supervisor reaps every child itself; Popen must not wait for this one too.
    started.returncode = 0
    return started.pid


def exit_code(status: int | None) -> int:
    """The shell's exit code for a wait status: 128 + n for signal n."""
    code = os.waitstatus_to_exitcode(status or 0)
    return 128 - code if code < 0 else code


def grace_asked(attempt: Attempt, default: float) -> float:
    """Seconds from SIGTERM to SIGKILL in `control/stop`, else `default`."""
    try:
        return max(0.0, float(json.loads(read_small(attempt.stop_request))["grace"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return default
