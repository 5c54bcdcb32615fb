"""A Trainyard as a user starts it, and ways to kill any part of it with SIGKILL."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.processes import ROOT
from tests.sshd import free_port, lives
from tests.waiting import eventually

WEB, WATCHER, WORKERS, OF_WORKERS = "web", "watcher", "workers", "one of the workers'"
LAUNCH, STARTER, SUPERVISOR, ALL = "a launch", "a starter", "supervisor", "everything"
# How often each is drawn; "a launch" is the process of its own that starts far and resumed runs,
# "a starter" the short-lived one between a worker and a run's wrapper.
WEIGHTS = {
    WEB: 3, WATCHER: 4, WORKERS: 4, OF_WORKERS: 4, LAUNCH: 5, STARTER: 5, SUPERVISOR: 3, ALL: 4,
}  # fmt: skip
PROGRAMS = {"platform_site.running.web": WEB, "watchjobs": WATCHER, "qcluster": WORKERS}
STARTS_WITHIN = 120.0
DIES_WITHIN = 30.0


class Yard:
    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self.home, self.env, self.port = home, env, free_port()
        self.output = home.with_name(home.name + ".log")
        self.up: subprocess.Popen[bytes] | None = None
        self.killed: dict[str, int] = dict.fromkeys(WEIGHTS, 0)
        self.starts = 0

    def start(self) -> None:
        """Start it where it does not run."""
        if self.up and self.up.poll() is None:
            return
        self.wait_for_nothing()
        argv = [sys.executable, "manage.py", "up", "--no-samples", "--port", str(self.port)]
        with self.output.open("ab") as log:
            self.up = subprocess.Popen(
                argv, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        self.starts += 1
        eventually(lambda: len(self.programs()) == len(PROGRAMS), STARTS_WITHIN, self.said())

    def said(self) -> str:
        return f"see {self.output}"

    def wait_for_nothing(self) -> None:
        """A supervisor that was killed takes its programs with it, to the last process."""

        def left() -> list[psutil.Process]:
            # What starts a run is a process of its own: it may go on.
            return [process for process in self.own() if "launch" not in argv_of(process)]

        try:
            eventually(lambda: not left(), DIES_WITHIN)
        except AssertionError:
            raise AssertionError(f"it did not end: {self.named()}") from None

    def stop(self) -> None:
        """As Ctrl-C does it; nothing of the platform is left then."""
        if self.up:
            self.up.send_signal(signal.SIGINT)
            assert self.up.wait(60) == 0, self.said()
            self.up = None
        self.wait_for_nothing()

    def end(self) -> None:
        """Whatever state it is in."""
        for process in self.own():
            with suppress(psutil.Error):
                process.kill()
        if self.up:
            self.up.wait(10)

    def own(self) -> list[psutil.Process]:
        """Every process of the platform on this home, whoever its parent is by now."""
        return [process for process in psutil.process_iter() if self._is_own(process)]

    def named(self) -> str:
        return "; ".join(f"{process.pid} {' '.join(argv_of(process))}" for process in self.own())

    def _is_own(self, process: psutil.Process) -> bool:
        argv = argv_of(process)
        if not any(part.endswith(("manage.py", "platform_site.running.web")) for part in argv):
            return False
        with suppress(psutil.Error):
            return process.environ().get("TRAINYARD_HOME") == str(self.home) and lives(process)
        return False

    def programs(self) -> dict[str, psutil.Process]:
        """The three programs of the supervisor that are there now."""
        if not self.up:
            return {}
        found = {}
        with suppress(psutil.Error):
            for process in psutil.Process(self.up.pid).children():
                name = next((PROGRAMS[part] for part in argv_of(process) if part in PROGRAMS), None)
                if name and lives(process):
                    found[name] = process
        return found

    def kill_one(self, chance: random.Random) -> str:
        """Kill something that is there, chosen by chance; returns what it was."""
        there = {name: found for name, find in self.victims().items() if (found := find())}
        name = chance.choices(list(there), [WEIGHTS[name] for name in there])[0]
        self.kill(name, there[name] if name == ALL else [chance.choice(there[name])])
        return name

    def kill(self, name: str, found: list[psutil.Process]) -> None:
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        if name in (SUPERVISOR, ALL) and self.up:
            self.up.wait(10)
        self.killed[name] += 1

    def victims(self) -> dict[str, Callable[[], list[psutil.Process]]]:
        def program(name: str) -> Callable[[], list[psutil.Process]]:
            return lambda: [found for key, found in self.programs().items() if key == name]

        return {
            **{name: program(name) for name in (WEB, WATCHER, WORKERS)},
            OF_WORKERS: self.below_workers,
            LAUNCH: lambda: [each for each in self.own() if "launch" in argv_of(each)],
            STARTER: self.starters,
            SUPERVISOR: lambda: [psutil.Process(self.up.pid)] if self.up else [],
            ALL: self.own,
        }

    def below_workers(self) -> list[psutil.Process]:
        """The guard, the workers proper, the pusher and the monitor of the task queue."""
        programs = self.programs()
        with suppress(psutil.Error, KeyError):
            below = programs[WORKERS].children(recursive=True)
            return [each for each in below if "qcluster" in argv_of(each)]
        return []

    def starters(self) -> list[psutil.Process]:
        """What waits for a wrapper to be there; the wrapper itself is a run, and none of ours."""
        ours = {process.pid for process in self.own()}
        found = []
        for process in psutil.process_iter():
            if "trainyard_node.run" in argv_of(process) and _parent(process) in ours:
                found.append(process)
        return found


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


def argv_of(process: psutil.Process) -> list[str]:
    try:
        return [part for part in process.cmdline() if part]
    except psutil.Error:
        return []
