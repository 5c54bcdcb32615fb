"""Watches the runs of one machine: a machine that hangs does not delay those of another."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from django.db import DatabaseError, connection
from django.db.models import Q

from compute import rental
from compute.machines.addresses import forget, retry_now
from compute.machines.load import record_sample
from compute.machines.reachability import mark_reachable, mark_unreachable
from compute.models import Machine
from compute.runners.base import RunnerError, Unreachable
from jobs import lifecycle
from jobs.checkpoints import list_checkpoints
from jobs.models import ACTIVE, Job
from monitoring.page import live
from monitoring.watch.looks import Look, look_at
from monitoring.watch.watching_run import watch

log = logging.getLogger(__name__)
LOOK_EVERY = 0.25  # seconds; this machine's files cost next to nothing to look at
LOOK_FAR_EVERY = 1.0
MEASURE_EVERY = 5.0
Stop: TypeAlias = threading.Event


class MachineWatcher:
    """Reads on in every active run of a machine, and measures the machine now and then."""

    def __init__(self, machine: Machine) -> None:
        self.pk, self.every = machine.pk, LOOK_EVERY if machine.is_local else LOOK_FAR_EVERY
        self.said: dict[object, str] = {}
        self.measure_at = 0.0
        self.was_unreachable = False
        self.has_begun = False
        self.rental: tuple[datetime | None, str] | None = None

    def run(self, stop: Stop) -> None:
        """Until ``stop``, or until the machine is gone. A thread of its own."""
        try:
            while not stop.is_set() and self.turn(stop):
                stop.wait(self.every)
        finally:
            connection.close()

    def turn(self, stop: Stop) -> bool:
        """One look; false when there is no such machine any more."""
        try:
            machine = Machine.objects.kept().filter(pk=self.pk).first()
            if machine is None:
                forget(self.pk)
            else:
                self.look(machine)
        except DatabaseError:
            # What was read is not saved and the cursor has not moved: it is read again.
            log.exception("The database refused; looking again")
            connection.close()  # opens again by itself
            stop.wait(1)
            return True
        return machine is not None

    def look(self, machine: Machine) -> None:
        if self.was_unreachable and machine.unreachable_since is None:
            retry_now(machine)  # a check found that it answers, or somebody changed it
        self.was_unreachable = machine.unreachable_since is not None
        running = Job.objects.active().filter(machine=machine)
        jobs = list(running.select_related("machine", "owner"))
        if not self.has_begun:
            self.has_begun = True
            self.list_again(jobs)
        self.mind_rental(machine, jobs)
        if jobs:
            self.attempt(machine, lambda: self.watch_all(machine, jobs))
        if time.monotonic() >= self.measure_at:
            self.measure_at = time.monotonic() + MEASURE_EVERY
            self.attempt(machine, lambda: record_sample(machine))
            self.list_ended(machine)

    def list_again(self, jobs: list[Job]) -> None:
        """List the checkpoints again: nobody watched the disk while the watcher was away."""
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(listing_due=True)
        for job in jobs:
            job.listing_due = True

    def list_ended(self, machine: Machine) -> None:
        """List the checkpoints of a run that ended before they could be listed; one run a call."""
        ended = Job.objects.filter(machine=machine, listing_due=True).exclude(status__in=ACTIVE)
        if machine.unreachable_since is None and (job := ended.select_related("machine").first()):
            self.attempt(job, lambda: self.list_once(job))

    def list_once(self, job: Job) -> None:
        """List a run's checkpoints; if its disk cannot be read, do not ask it again."""
        try:
            list_checkpoints(job)
        except Unreachable:
            raise
        except RunnerError:
            lifecycle.touch(job, listing_due=False)
            raise

    def mind_rental(self, machine: Machine, jobs: list[Job]) -> None:
        """Tell when the rental's end comes near, and show it where it changed."""
        now = machine.rental_ends_at, rental.nearness(machine)
        if now == self.rental:
            return
        rental.tell(machine)
        if self.rental is not None:
            self.show_again(jobs)
        self.rental = now

    def watch_all(self, machine: Machine, jobs: list[Job]) -> None:
        look = look_at(machine, jobs)
        if not machine.is_local:
            mark_reachable(machine)
        if machine.unreachable_since:
            self.show_again(jobs)
        for job in jobs:
            self.attempt(job, lambda job=job: self.watch_run(job, look))  # type: ignore[misc]

    def show_again(self, jobs: list[Job]) -> None:
        """Let open pages say that the machine went, or came back."""
        for job in jobs:
            lifecycle.touch(job)
            live.ping(job.pk)

    def watch_run(self, job: Job, look: Look) -> None:
        has_news = True  # of what was read before anything failed
        try:
            has_news = watch(job, look)
        finally:
            if has_news:
                live.ping(job.pk)

    def attempt(self, subject: Machine | Job, act: Callable[[], object]) -> None:
        """Act. If it fails for one run or machine, the others are still watched."""
        try:
            act()
        except Unreachable as error:
            machine = subject if isinstance(subject, Machine) else subject.machine
            mark_unreachable(machine, error)
            if machine.unreachable_since is None:  # before this look it answered
                here = Q(machine=machine) | Q(machine__memberships__machine=machine)
                self.show_again(list(Job.objects.active().filter(here)))
        except Exception as error:
            self.complain(subject, error)
        else:
            self.said.pop(subject, None)

    def complain(self, subject: Machine | Job, error: Exception) -> None:
        """Say it once, not four times a second."""
        if self.said.get(subject) != str(error):
            trace = None if isinstance(error, RunnerError) else error
            log.error("%s cannot be watched: %s", subject, error, exc_info=trace)
        self.said[subject] = str(error)
