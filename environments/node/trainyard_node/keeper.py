"""Keep one machine's part of a Ray cluster: start it once, and end it with its run.

The keeper of the head watches the run that the cluster is for. When the run is over, or never
began, the keeper ends its Ray. The other parts then lose their head, and their Ray ends by itself
(`GONE_AFTER`). So nothing stays behind, even if the platform is away.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trainyard_node import child, processes
from trainyard_node.attempt import Attempt, write_atomic
from trainyard_node.identity import is_alive
from trainyard_node.record import MARK, read_record, record_of, write_record
from trainyard_node.signals import STOP_SIGNALS, Signals

LOOK_EVERY = 0.5  # seconds
BEGINS_WITHIN = 300.0  # seconds until the run must have started
GONE_AFTER = 20  # seconds until a part gives up a head that does not answer
GRACE = 5.0
RECONNECT = "RAY_gcs_rpc_server_reconnect_timeout_s"


class Keeper:
    """Starts `command`, records it in `part`, and ends it in time; only a head has a `run`."""

    def __init__(self, part: Attempt, command: Sequence[str], temp: str, run: Attempt | None):
        self.part, self.command, self.temp, self.of_run = part, command, Path(temp), run
        self._pid = 0
        self._status: int | None = None

    def run(self, ready: Callable[[], None]) -> int:
        """Keep the part; return its exit code, 0 when it was ended on purpose. Raises OSError."""
        processes.become_subreaper()
        with Signals() as signals:
            self._start()
            ready()
            asked = self._keep(signals)
            processes.end(self._below, GRACE)
            self._reap()
        shutil.rmtree(self.temp, ignore_errors=True)
        code = 0 if asked else child.exit_code(self._status) or 1
        write_atomic(self.part.exit_code, f"{code}\n")
        return code

    def _start(self) -> None:
        mark = secrets.token_hex(8)
        env = {RECONNECT: str(GONE_AFTER), **os.environ, MARK: mark}
        with self.part.log.open("ab") as log:
            started = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", env=env, start_new_session=True,
            )  # fmt: skip
        started.returncode = 0  # this class reaps all children
        self._pid = started.pid
        try:
            write_record(self.part, record_of(self._pid, mark))
        except OSError:
            os.killpg(self._pid, signal.SIGKILL)
            raise

    def _keep(self, signals: Signals) -> bool:
        """Wait for the end. Return True when it was wanted, False when Ray ended by itself."""
        began = time.monotonic()
        told = False
        while True:
            asked = bool(signals.wait(LOOK_EVERY) & STOP_SIGNALS)
            self._reap()
            if asked or self._is_over(time.monotonic() - began):
                return True
            if self._status is not None:
                return False
            told = told or self._tell_address()

    def _is_over(self, seconds: float) -> bool:
        if self.of_run is None:
            return False
        if self.of_run.exit_code.exists():
            return True
        record = read_record(self.of_run)
        if record is None:
            return seconds > BEGINS_WITHIN
        return not is_alive(record.wrapper) and not is_alive(record.process)

    def _tell_address(self) -> bool:
        """Copy the cluster's address, which Ray writes when the node is up; false until then."""
        with contextlib.suppress(OSError):
            text = (self.temp / "ray_current_cluster").read_text().strip()
            write_atomic(self.part.root / "address", text + "\n")
            return bool(text)
        return False

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self._status = status

    def _below(self) -> list[processes.Process]:
        self._reap()
        return processes.descendants(os.getpid())
