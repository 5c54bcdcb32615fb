import fcntl
import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection

from compute.models import Machine
from compute.runners.base import RunnerError
from compute.services import local_machine, record_sample
from jobs import resuming
from jobs import services as jobs
from jobs.models import Job
from monitoring import live
from monitoring.services import follow

log = logging.getLogger(__name__)
LOOK_EVERY = 0.25
MEASURE_EVERY = 5.0
KICK_EVERY = 2.0
RETRY_EVERY = 5.0
ASK_EVERY = 60.0


class Command(BaseCommand):
    help = "Follow every active job. One watcher a home: a second one waits for its turn."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        with (settings.TRAINYARD_HOME / "watch.lock").open("w") as lock:
            if take(lock, stop):
                Watcher().run(stop)


def take(lock: Any, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stop.wait(1)
        else:
            return True
    return False


class Watcher:
    def __init__(self) -> None:
        self.said: dict[int, str] = {}
        self.every = {
            self.measure: MEASURE_EVERY,
            self.kick: KICK_EVERY,
            resuming.retry_due: RETRY_EVERY,
            resuming.ask_again: ASK_EVERY,
        }
        self.due = dict.fromkeys(self.every, 0.0)

    def run(self, stop: threading.Event) -> None:
        local_machine()
        while not stop.is_set():
            try:
                self.look()
            except DatabaseError:
                # What was read is not saved and the cursor has not moved: it is read again.
                log.exception("The database refused; looking again")
                connection.close()  # opens again by itself
                stop.wait(1)
            stop.wait(LOOK_EVERY)

    def look(self) -> None:
        for job in Job.objects.holding_slot().select_related("machine"):
            self.follow(job)
        for act, at in self.due.items():
            if time.monotonic() >= at:
                self.due[act] = time.monotonic() + self.every[act]
                self.try_to(act)

    def follow(self, job: Job) -> None:
        try:
            if follow(job):
                live.ping(job.pk)
        except Exception as error:
            # What was read is not saved and the cursor has not moved: it is read again.
            # One run that cannot be followed must not keep the others from it.
            self.complain(job, error)

    def complain(self, job: Job, error: Exception) -> None:
        """Say it once, not four times a second."""
        if self.said.get(job.pk) != str(error):
            trace = None if isinstance(error, RunnerError) else error
            log.error("%s cannot be followed: %s", job, error, exc_info=trace)
        self.said[job.pk] = str(error)

    def try_to(self, act: Callable[[], None]) -> None:
        """A queue that is away, or a machine that cannot be measured, must not stop the rest."""
        try:
            act()
        except DatabaseError:
            raise
        except Exception:
            log.exception("%s did not work; trying again later", act.__name__)

    def measure(self) -> None:
        for machine in Machine.objects.all():
            try:
                record_sample(machine)
            except RunnerError as error:
                log.warning("%s: %s", machine, error)

    def kick(self) -> None:
        jobs.kick_stuck()
