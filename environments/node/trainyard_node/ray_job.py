"""`python -m trainyard_node.ray_job ORDER`: run one attempt as a job of a Ray cluster.

Starts the wrapper in the attempt directory, on the node where this runs, and prints the content of
that directory (see `frames`), since Ray's API shows only a job's output. ORDER is JSON, compressed
and in base64, {"folder", "script"}. Ends with the run's exit code; 1 when it could not be started.
"""

import base64
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainyard_node import stop
from trainyard_node.attempt import Attempt
from trainyard_node.frames import Frame, line_of, write_all
from trainyard_node.relay import Relay

LOOK_EVERY = 0.25  # seconds
LAST_GRACE = 20.0  # seconds from SIGTERM to SIGKILL for a run whose wrapper is dead
TOLD_WITHIN = 60.0  # seconds in which a full disk may get room for the last lines
PR_SET_PDEATHSIG = 1
CHOOSES = "RAY_EXPERIMENTAL_NOSET_"  # …CUDA_VISIBLE_DEVICES and others


def main(argv: Sequence[str] | None = None) -> int:
    """Make the attempt's directory, start the run, and relay its files until its end."""
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) != 1:
        print("usage: python -m trainyard_node.ray_job ORDER", file=sys.stderr)
        return 2
    order = read_order(argv[0])
    attempt = Attempt.at(order["folder"])
    try:
        write_script(attempt, order["script"])
    except FileExistsError:
        print(f"{attempt.root} was started already; an attempt runs once", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The run directory could not be made: {error}", file=sys.stderr)
        return 1
    return run(attempt)


def read_order(text: str) -> Any:
    """Decode the platform's order. Raises ValueError, binascii.Error or zlib.error."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def write_script(attempt: Attempt, script: str) -> None:
    """Write run.sh. Raises OSError; FileExistsError if the attempt was started before."""
    attempt.root.mkdir(parents=True, exist_ok=True)
    with attempt.script.open("x") as file:
        file.write(script)


def run(attempt: Attempt) -> int:
    """Start the wrapper, and relay its directory until it has ended and all is sent."""
    # Ray stops a job by signals to all its processes: the wrapper ends the run, this relays it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    here = os.getpid()
    wrapper = subprocess.Popen(
        [sys.executable, "-m", "trainyard_node.run", str(attempt.root)],
        stdin=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,  # Ray kills this session at once when a node's daemon dies
        preexec_fn=lambda: _end_with(here),
    )
    output = Output(1)
    relay = Relay(attempt, output.tell)
    while (code := wrapper.poll()) is None:
        relay.look()
        time.sleep(LOOK_EVERY)
    if attempt.read_exit_code() is None:
        # The run must not outlive the job, to which the cluster has given the devices.
        stop.stop(attempt, LAST_GRACE)
    verdict = code if code >= 0 else 128 - code
    _tell_the_rest(relay, verdict)
    return verdict


def _tell_the_rest(relay: Relay, verdict: int) -> None:
    deadline = time.monotonic() + TOLD_WITHIN
    while not relay.look(last=True) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
    with contextlib.suppress(OSError):
        relay.end(verdict)


def environment() -> dict[str, str]:
    """The job's environment, in which the wrapper finds this same package.

    Ray marks a job's process as one that chooses its devices itself. In a rank of torchrun, verl
    would therefore ask Ray for the rank's devices, which Ray does not know.
    """
    place = str(Path(__file__).resolve().parent.parent)
    known = os.environ.get("PYTHONPATH", "")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CHOOSES)}
    return {**kept, "PYTHONPATH": f"{place}{os.pathsep}{known}" if known else place}


def _end_with(parent: int) -> None:
    """In the wrapper: get SIGTERM when the job's process ends, and never outlive it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


class Output:
    """Lines on a descriptor. A line that a full disk cut short does not spoil the next."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._is_cut = descriptor, False

    def tell(self, frame: Frame) -> None:
        """Write the frame's line. Raises OSError."""
        line = line_of(frame)
        before, self._is_cut = self._is_cut, True
        write_all(self._descriptor, b"\n" + line if before else line)
        self._is_cut = False


if __name__ == "__main__":
    sys.exit(main())
