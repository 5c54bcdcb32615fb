"""Random operations on the queue, in the real database: what must hold, holds after each.

The workers are two loops that claim and launch; a run starts, or fails to, or nobody knows. Tasks
that are asked for are kept until a rule lets a worker take them, so that none may be forgotten.
"""

import os
import uuid as uuids
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from compute.models import Machine
from compute.runners.base import Launch, RunnerError, RunnerUnsure
from compute.runners.local import LocalRunner
from jobs import leases, queue, services, work
from jobs.models import ENDED, HOLDS_SLOT, Job, Lease, Priority, Status
from jobs.queue import QueueError
from tests import factories

EXAMPLES = int(os.environ.get("QUEUE_EXAMPLES", "200"))
STEPS = int(os.environ.get("QUEUE_STEPS", "50"))
PICK = st.integers(0, 999)
STARTS = {"starts": None, "refuses": RunnerError("No."), "unsure": RunnerUnsure("Hm.")}
FACTS = ("pk", "status", "gpus", "machine", "held_at", "after", "after_checkpoint")
Jobs = dict[int, dict[str, Any]]
operations: Counter[str] = Counter()


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.asked: list[int] = []  # machines whose queue a worker is to look at
        self.changed: set[int] = set()  # machines that the watcher has to see
        self.launches: Counter[str] = Counter()
        self.outcome: Exception | None = None
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(work, "later", self.later)
        self.patch.setattr(services, "later", self.later)
        self.patch.setattr(services, "STUCK_QUEUE", timedelta(seconds=-1))
        self.patch.setattr(services, "queue_size", lambda: len(self.asked))
        self.patch.setattr(LocalRunner, "launch", self.launch)

    def teardown(self) -> None:
        self.patch.undo()
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    def later(self, task: str, pk: int) -> None:
        if task == "jobs.tasks.launch_queued":
            self.asked.append(pk)

    def launch(self, launch: Launch) -> None:
        self.launches[launch.attempt_dir] += 1
        if self.outcome:
            raise self.outcome

    @initialize(sizes=st.lists(st.sampled_from([None, 0, 1, 2, 4]), min_size=1, max_size=2))
    def begin(self, sizes: list[int | None]) -> None:
        self.users = [factories.make_user(), factories.make_user()]
        self.users.append(factories.make_user(is_staff=True))
        self.machines = [factories.make_machine(gpus=n, slots=1 + at) for at, n in enumerate(sizes)]

    # What users do

    @rule(who=PICK, where=PICK, gpus=st.integers(0, 5))
    def submit_alone(self, who: int, where: int, gpus: int) -> None:
        self.submit(who, where, gpus, None, False)

    @rule(who=PICK, where=PICK, gpus=st.integers(0, 5), after=PICK, kept=st.booleans())
    def submit_after(self, who: int, where: int, gpus: int, after: int, kept: bool) -> None:
        self.submit(who, where, gpus, after, kept)

    def submit(self, who: int, where: int, gpus: int, after: int | None, kept: bool) -> None:
        self.count("submit")
        before = None if after is None else self.any_job(after)
        values = {"device": "cuda" if gpus else "cpu", "gpus": max(1, gpus)}
        order = factories.make_order(
            self.user(who),
            machine=self.machine(where),
            spec=factories.sft_spec(**values),
            uuid=uuids.uuid4(),
            after=before,
            after_checkpoint=bool(before and kept),
        )
        services.submit(order, start=True)

    @rule(which=PICK, who=PICK)
    def hold(self, which: int, who: int) -> None:
        with self.one(which, "hold") as job:
            queue.hold(job, self.user(who), "later")

    @rule(which=PICK, who=PICK)
    def release(self, which: int, who: int) -> None:
        with self.one(which, "release") as job:
            queue.release(job, self.user(who))

    @rule(which=PICK, who=PICK, place=st.sampled_from(["up", "down", "first", "last"]))
    def move_to(self, which: int, who: int, place: queue.Place) -> None:
        with self.one(which, "move") as job, self.others_stay(job, self.user(who)):
            queue.move_to(job, self.user(who), place)

    @rule(which=PICK, other=PICK, who=PICK)
    def move_before(self, which: int, other: int, who: int) -> None:
        with self.one(which, "move") as job, self.others_stay(job, self.user(who)):
            before = self.any_job(other)
            assert before
            if queue.move_before(job, self.user(who), before) and self.user(who).is_staff:
                line = [each.pk for each in leases.line_of(job.machine)]
                assert line.index(before.pk) == line.index(job.pk) + 1

    @rule(which=PICK, who=PICK, priority=st.sampled_from(list(Priority)))
    def set_priority(self, which: int, who: int, priority: Priority) -> None:
        with self.one(which, "priority") as job:
            queue.set_priority(job, self.user(who), priority)

    @rule(which=PICK)
    def stop(self, which: int) -> None:
        with self.one(which, "stop") as job:
            services.stop(job, who="ada")

    # What workers and machines do

    @rule(which=PICK, outcome=st.sampled_from(list(STARTS)))
    def work_once(self, which: int, outcome: str) -> None:
        """A worker starts one job of a queue; it, or the other, goes on with it later."""
        self.count("claim")
        if not self.asked:
            return
        machine = self.asked[which % len(self.asked)]
        job = services.claim_next(machine)
        if job is None:
            self.asked.remove(machine)
            return
        self.outcome = STARTS[outcome]
        services.launch(job)

    @rule()
    def work_all(self) -> None:
        self.count("drain")
        self.outcome = None
        while self.asked:
            services.launch_queued(self.asked.pop())
        idle = [machine for machine in self.machines if machine.pk not in self.changed]
        assert not any(map(leases.could_start, idle))

    @rule(which=PICK, end=st.sampled_from(["completed", "failed", "lost", "stopped"]))
    def end(self, which: int, end: str) -> None:
        self.count("end")
        active = list(Job.objects.holding_slot().order_by("pk"))
        if active:
            services.finish_as(active[which % len(active)], Status(end), "So it was.")

    @rule(which=PICK)
    def seen_to_run(self, which: int) -> None:
        self.count("seen")
        starting = list(Job.objects.filter(status=Status.STARTING).order_by("pk"))
        if starting:
            services.started(starting[which % len(starting)])

    @rule(where=PICK, gpus=st.sampled_from([None, 0, 1, 2, 4, 8]), slots=st.integers(1, 3))
    def resize(self, where: int, gpus: int | None, slots: int) -> None:
        self.count("resize")
        machine = self.machine(where)
        machine.gpus, machine.slots = gpus, slots
        machine.save()
        self.changed.add(machine.pk)

    @rule()
    def watch(self) -> None:
        self.count("watch")
        idle = not self.asked
        services.kick_stuck()
        if idle:
            self.changed.clear()

    @rule(which=PICK)
    def a_task_is_lost(self, which: int) -> None:
        self.count("lost task")
        if self.asked:
            self.changed.add(self.asked.pop(which % len(self.asked)))

    # What holds

    @invariant()
    def all_holds(self) -> None:
        jobs = {job["pk"]: job for job in Job.objects.order_by().values(*FACTS)}
        held = list(Lease.objects.order_by().values_list("machine", "device", "job"))
        self.leases_are_right(jobs, held)
        assert all(times == 1 for times in self.launches.values()), "started twice"
        for machine in getattr(self, "machines", []):
            if machine.pk not in self.asked and machine.pk not in self.changed:
                leased = {device for where, device, _ in held if where == machine.pk}
                self.nothing_waits_in_vain(machine, jobs, leased)
        for job in jobs.values():
            begun = job["status"] not in ("queued", "failed", "stopped")
            if job["after_checkpoint"] and begun:
                assert jobs[job["after"]]["status"] == "completed"

    def leases_are_right(self, jobs: Jobs, held: list[tuple[int, int, int]]) -> None:
        assert len({(machine, device) for machine, device, _ in held}) == len(held)
        assert all(machine == jobs[job]["machine"] for machine, _, job in held)
        active = [job for job in jobs.values() if job["status"] in HOLDS_SLOT]
        asked = {job["pk"]: job["gpus"] for job in active if job["gpus"]}
        assert Counter(job for _, _, job in held) == asked

    def nothing_waits_in_vain(self, machine: Machine, jobs: Jobs, leased: set[int]) -> None:
        """Said in other words than the code that decides it."""
        mine = [job for job in jobs.values() if job["machine"] == machine.pk]
        free = len(set(range(machine.gpus or 0)) - leased)
        busy = sum(job["status"] in HOLDS_SLOT and not job["gpus"] for job in mine)
        for job in mine:
            if job["status"] != "queued":
                continue
            before = jobs[job["after"]]["status"] if job["after"] else "completed"
            in_vain = job["after_checkpoint"] and before in ("failed", "stopped", "lost")
            assert not in_vain, f"its checkpoint will not come: {job}"
            if not job["held_at"] and before in ENDED:
                fits = job["gpus"] <= free if job["gpus"] else busy < machine.slots
                assert not fits, f"forgotten: {job}"

    # Helpers

    def user(self, which: int) -> User:
        return self.users[which % len(self.users)]

    def machine(self, which: int) -> Machine:
        return self.machines[which % len(self.machines)]

    def any_job(self, which: int) -> Job | None:
        jobs = list(Job.objects.exclude(status__in=ENDED).order_by("-pk")[:20])
        return jobs[which % len(jobs)] if jobs else None

    @contextmanager
    def one(self, which: int, what: str) -> Iterator[Job]:
        """A job of those that have not ended, for a verb that may refuse."""
        self.count(what)
        job = self.any_job(which)
        if job is None:
            job = factories.make_job(self.users[0], machine=self.machines[0])
        try:
            yield job
        except QueueError:
            self.count("refused")

    @contextmanager
    def others_stay(self, job: Job, by: User) -> Iterator[None]:
        """Whoever is not staff moves nobody else's job."""
        before = [(each.pk, each.owner_id) for each in leases.line_of(job.machine)]
        yield
        after = [(each.pk, each.owner_id) for each in leases.line_of(job.machine)]
        assert sorted(before) == sorted(after)
        if not by.is_staff:
            assert [of for _, of in before] == [of for _, of in after]
            assert [pk for pk, of in before if of != by.pk] == [
                pk for pk, of in after if of != by.pk
            ]

    def count(self, what: str) -> None:
        operations[what] += 1


@pytest.mark.backends
@pytest.mark.django_db
def test_what_must_hold_holds_after_any_operations(capsys: pytest.CaptureFixture[str]) -> None:
    operations.clear()
    options: dict[str, Any] = {"suppress_health_check": list(HealthCheck), "deadline": None}
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, database=None, **options
        ),
    )
    with capsys.disabled():
        if "QUEUE_EXAMPLES" in os.environ:
            print(f"\n{operations.total()} operations: {dict(operations)}")  # noqa: T201
    assert set(operations) == {
        "submit", "hold", "release", "move", "priority", "stop",
        "claim", "drain", "end", "seen", "resize", "watch", "lost task", "refused",
    }  # fmt: skip
