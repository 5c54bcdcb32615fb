"""A whole Trainyard as a user starts it: ``manage.py up`` with a home and a port of its own."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
STARTS_WITHIN = 240.0


class Site:
    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home.with_name(home.name + ".log")
        self.env = {**os.environ, "TRAINYARD_HOME": str(home)}
        for name in ("DATABASE_URL", "CHANNEL_REDIS_URL", "QUEUE_REDIS_URL"):
            self.env.pop(name, None)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *argv: str) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(self.port), *argv],
                cwd=ROOT, env=self.env, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(self.answers, "the site to answer", STARTS_WITHIN)

    def answers(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise AssertionError(f"manage.py up ended:\n{self.log.read_text()}")
        try:
            urllib.request.urlopen(f"{self.url}/accounts/login/", timeout=5).close()  # noqa: S310  # ours
        except (urllib.error.URLError, OSError):
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    @property
    def password(self) -> str:
        found = re.findall(r"Password\s+(\S+)", self.log.read_text())
        assert len(found) == 1, "the password is shown once"
        return str(found[0])

    def manage(self, *argv: str) -> Any:
        done = subprocess.run(
            [sys.executable, "manage.py", *argv, "--json"],
            cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    def job(self, pk: int) -> dict[str, Any]:
        found: dict[str, Any] = self.manage("job", str(pk))
        return found

    def wait_for_status(self, pk: int, *statuses: str, within: float = 300) -> dict[str, Any]:
        wait_for(lambda: self.look(pk)[0] in statuses, f"job {pk} {statuses}", within)
        return self.job(pk)

    def look(self, pk: int) -> tuple[str, int]:
        """Status and step as they stand in the database: a command each time would take from the
        training that is waited for.
        """
        with closing(sqlite3.connect(f"file:{self.home}/db.sqlite3?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT status, step FROM jobs_job WHERE id = ?", [pk])
            status, step = rows.fetchone()
        return str(status), int(step)

    def pids(self) -> dict[str, int]:
        """The three programs of the supervisor, by what they run."""
        assert self.process
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        names = {"platform_site.running.web": "web", "qcluster": "workers", "watchjobs": "watcher"}
        rows = [line.split(None, 1) for line in listed.splitlines()]
        return {
            name: int(pid) for pid, args in rows for part, name in names.items() if part in args
        }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(true: Callable[[], bool], what: str, within: float = 60.0, every: float = 0.2) -> None:
    """Look until it is so; fail with ``what`` after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within} s for {what}")
        time.sleep(every)
