"""Run one attempt: start it, watch it, stop it when asked, and leave no process behind."""

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from trainyard_node import child, discard, processes, verdict
from trainyard_node.attempt import Attempt, Lines, record_event, write_atomic
from trainyard_node.checkpoints import CheckpointWatch
from trainyard_node.events import EventName
from trainyard_node.provenance import Teller
from trainyard_node.record import record_of, write_record
from trainyard_node.signals import STOP_SIGNALS, Signals
from trainyard_node.telemetry import Sampler


@dataclass(frozen=True)
class Options:
    """Times in seconds. `grace`: from SIGTERM to SIGKILL; `leftover_grace`: the same for processes
    that outlive the run's own process."""

    sample: float = 5.0
    heartbeat: float = 2.0
    grace: float = 20.0
    leftover_grace: float = 3.0


class Supervisor:
    """Runs `run.sh` of one attempt once; the caller holds the attempt's lock."""

    def __init__(self, attempt: Attempt, options: Options) -> None:
        self.attempt, self.options = attempt, options
        self._events = Lines(attempt.events)
        self._checkpoints = CheckpointWatch(attempt.checkpoints)
        self._pid = 0
        self._status: int | None = None
        self._kill_at: float | None = None
        self._beat_at = 0.0

    def run(self, ready: Callable[[], None] = lambda: None) -> int:
        """Run the attempt; return its exit code. `ready` is called once the pid file exists.

        Raises OSError when the run cannot be started or its pid cannot be recorded; no process is
        left running then.
        """
        processes.become_subreaper()
        with Signals() as signals:
            self._start()
            ready()
            sampler = Sampler(
                Lines(self.attempt.system), os.getpid(), self.attempt.root, self.options.sample
            )
            teller = Teller(self.attempt)
            sampler.start()
            teller.start()
            self._watch(signals)
            self._sweep()
            sampler.stop()
            teller.stop()
            return self._finish()

    def _start(self) -> None:
        verdict.reserve(self.attempt)
        mark = secrets.token_hex(8)
        self._pid = child.spawn(self.attempt, mark)
        try:
            write_record(self.attempt, record_of(self._pid, mark))
        except OSError:
            os.killpg(self._pid, signal.SIGKILL)
            self._sweep()
            raise
        self._event("started", f"run.sh started as process {self._pid}", pid=self._pid)

    def _watch(self, signals: Signals) -> None:
        while self._status is None:
            self._beat()
            if signals.wait(self._pause()) & STOP_SIGNALS:
                self._ask_to_stop()
            self._reap()
            self._kill_when_due()

    def _pause(self) -> float:
        due = self._beat_at if self._kill_at is None else min(self._beat_at, self._kill_at)
        return due - time.monotonic()

    def _beat(self) -> None:
        if time.monotonic() < self._beat_at:
            return
        self._beat_at = time.monotonic() + self.options.heartbeat
        with contextlib.suppress(OSError):
            write_atomic(self.attempt.heartbeat, f"{time.time():.3f}\n")
        self._tell_checkpoint()

    def _tell_checkpoint(self) -> None:
        step = self._checkpoints.new_step()
        if step is not None:
            self._event("checkpoint", f"checkpoint of step {step} saved", step=step)

    def _ask_to_stop(self) -> None:
        grace = child.grace_asked(self.attempt, self.options.grace)
        # A second request may shorten the wait; it never lengthens it.
        asked = time.monotonic() + grace
        self._kill_at = asked if self._kill_at is None else min(asked, self._kill_at)
        self._event("stop_asked", f"SIGTERM sent, {grace:g} s to end", grace=grace)
        self._signal_group(signal.SIGTERM)

    def _kill_when_due(self) -> None:
        if self._status is not None or self._kill_at is None or time.monotonic() < self._kill_at:
            return
        self._event("killed", "still running after the grace period: SIGKILL sent")
        self._signal_group(signal.SIGKILL)
        # If the kill has no effect (an uninterruptible wait), try again from time to time.
        self._kill_at = time.monotonic() + 1.0

    def _signal_group(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signum)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self._status = status

    def _sweep(self) -> None:
        left = self._leftovers()
        if not left:
            return
        names = sorted({processes.name_of(process) for process in left})
        left = processes.end(self._leftovers, self.options.leftover_grace)
        self._event("leftovers_ended", f"ended what the run left behind: {', '.join(names)}")
        if left:
            pids = [process.pid for process in left]
            self._event("leftovers_stuck", f"could not be ended: {pids}", pids=pids)

    def _leftovers(self) -> list[processes.Process]:
        self._reap()
        self._beat()
        return processes.descendants(os.getpid())

    def _finish(self) -> int:
        self._tell_checkpoint()
        with contextlib.suppress(OSError):
            discard.carry_out(self.attempt)
        code = child.exit_code(self._status)
        self._event("exited", f"ended with exit code {code}", exit_code=code)
        verdict.write(self.attempt, code)
        return code

    def _event(self, kind: EventName, message: str, **details: object) -> None:
        record_event(self._events, kind, message, **details)
