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

from compute.machines.local import local_machine
from compute.models import Machine
from evaluations.chains import advancing, scheduling
from evaluations.gates import services as gates
from jobs import resuming
from jobs.launch import overdue
from monitoring.watch.watching_machine import LOOK_EVERY, MachineWatcher
from platform_site.spare import keep_spare_pages
from platform_site.work import line

log = logging.getLogger(__name__)
LEAVES_WITHIN = 5.0
KICK_EVERY = 2.0
RETRY_EVERY = 5.0
ASK_EVERY = 60.0
WORK_EVERY = 10.0


class Command(BaseCommand):
    help = "Watch every active job. One watcher a home: a second one waits for its turn."
    requires_system_checks = ("kinds",)  # up made the others, which import every page

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
    """Watches this machine itself, and each other machine in a thread of its own."""

    def __init__(self) -> None:
        self.every: dict[Callable[[], None], float] = {
            overdue.kick_stuck: KICK_EVERY,
            advancing.kick_due: KICK_EVERY,
            scheduling.kick_due: WORK_EVERY,
            gates.settle_due: RETRY_EVERY,
            resuming.retry_due: RETRY_EVERY,
            resuming.ask_again: ASK_EVERY,
            keep_spare_pages: ASK_EVERY,
            line.go_on: WORK_EVERY,
        }
        self.due = dict.fromkeys(self.every, 0.0)
        self.here: dict[int, MachineWatcher] = {}
        self.far: dict[int, threading.Thread] = {}

    def run(self, stop: threading.Event) -> None:
        local_machine()
        while not stop.is_set():
            try:
                self.look()
                self.watch_far(stop)
            except DatabaseError:
                # What was read is not saved and the cursor has not moved: it is read again.
                log.exception("The database refused; looking again")
                connection.close()  # opens again by itself
                stop.wait(1)
            stop.wait(LOOK_EVERY)
        for thread in self.far.values():
            thread.join(LEAVES_WITHIN)

    def look(self) -> None:
        for machine in Machine.objects.kept().filter(kind=Machine.Kind.LOCAL):
            self.here.setdefault(machine.pk, MachineWatcher(machine)).look(machine)
        for act, at in self.due.items():
            if time.monotonic() >= at:
                self.due[act] = time.monotonic() + self.every[act]
                self.try_to(act)

    def watch_far(self, stop: threading.Event) -> None:
        """A thread for each confirmed machine; one that ended, ended with its machine."""
        for machine in Machine.objects.ready().exclude(kind=Machine.Kind.LOCAL):
            thread = self.far.get(machine.pk)
            if thread is None or not thread.is_alive():
                watcher = MachineWatcher(machine)
                thread = threading.Thread(target=watcher.run, args=(stop,), daemon=True)
                self.far[machine.pk] = thread
                thread.start()

    def try_to(self, act: Callable[[], None]) -> None:
        """A queue that is away must not stop the rest."""
        try:
            act()
        except DatabaseError:
            raise
        except Exception:
            log.exception("%s did not work; trying again later", act.__name__)
