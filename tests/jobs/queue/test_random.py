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

from compute.models import Machine, Membership
from compute.runners.base import Launch, RunnerError, RunnerUnsure
from compute.runners.local.runner import LocalRunner
from jobs import work
from jobs.launch import end as ends
from jobs.launch import joint, overdue, start
from jobs.launch import submit as submitting
from jobs.models import ACTIVE, ENDED, Job, JobInput, Lease, Priority, Status
from jobs.queue import claims, verbs
from jobs.queue.verbs import QueueError
from tests import factories

EXAMPLES = int(os.environ.get("QUEUE_EXAMPLES", "100"))
STEPS = int(os.environ.get("QUEUE_STEPS", "50"))
# It takes longest of all tests: of two processes that test side by side, each takes a half.
HALVES = [pytest.param(n, marks=pytest.mark.xdist_group(f"half {n} of the queue")) for n in (1, 2)]
PICK = st.integers(0, 999)
OUTCOMES = (None, None, RunnerError("No."), RunnerUnsure("Hm."))
OFTEN = ("release", "claim", "submit", "end", "hold", "submit", "drain")
WEIGHTED = (
    *OFTEN, *OFTEN, "submit_after", "submit_after", "submit_after", "move_to", "move_beside",
    "priority", "stop", "seen_to_run", "resize", "lose_task",
)  # fmt: skip
FACTS = ("pk", "kind", "status", "gpus", "machine", "held_at", "after")
Jobs = dict[int, dict[str, Any]]
operations: Counter[str] = Counter()


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.asked: list[int] = []  # machines whose queue a worker is to look at
        self.launches: Counter[str] = Counter()
        self.busy: Counter[int] = Counter()
        self.outcome: Exception | None = None
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(work, "later", self.later)
        self.patch.setattr(ends, "later", self.later)
        self.patch.setattr(overdue, "later", self.later)
        self.patch.setattr(overdue, "STUCK_QUEUE", timedelta(seconds=-1))
        self.patch.setattr(overdue, "queue_size", lambda: len(self.asked))
        # A process that starts a job is gone at once; what it left is found by other steps.
        self.patch.setattr(start, "spawn_launch", lambda job: None)
        self.patch.setattr(LocalRunner, "launch", self.launch)
        self.patch.setattr(joint, "bring_up", lambda job, launch: launch)
        self.patch.setattr(joint, "take_down", lambda job: None)
        self.patch.setattr(LocalRunner, "stop", lambda *args: None)

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

    @initialize(sizes=st.lists(st.sampled_from([1, 2, 4]), min_size=2, max_size=2))
    def begin(self, sizes: list[int]) -> None:
        self.users = [factories.make_user(), factories.make_user()]
        self.users.append(factories.make_user(is_staff=True))
        self.machines = [factories.make_machine(gpus=n, slots=1 + at) for at, n in enumerate(sizes)]
        self.machines.append(factories.make_machine(kind=Machine.Kind.GROUP))
        for place, machine in enumerate(self.machines[:2]):
            Membership.objects.create(group=self.machines[2], machine=machine, place=place)

    # One rule for all, so that each operation meets every other

    @rule(what=st.sampled_from(WEIGHTED), a=PICK, b=PICK, c=PICK)
    def operation(self, what: str, a: int, b: int, c: int) -> None:
        operations[what] += 1
        if a % 2 and what not in ("claim", "lose_task"):
            self.drain()  # what happens next has to ask for a worker itself
        try:
            getattr(self, what)(a // 2, b, c)
        except QueueError:
            operations["refused"] += 1

    # What users do

    def submit(self, a: int, b: int, c: int, before: Job | None = None) -> None:
        gpus = (0, 1, 2, 0, 3)[b % 5]
        values: dict[str, Any] = {"device": "cuda" if gpus else "cpu", "gpus": max(1, gpus)}
        order = factories.make_order(
            self.user(a),
            machine=self.machine(c),
            spec=factories.spec_of(("sft", "grpo")[a // 3 % 2], **values),
            uuid=uuids.uuid4(),
            after=before,
            after_checkpoint=bool(before and c % 3),
        )
        submitting.submit(order, start=True)

    def submit_after(self, a: int, b: int, c: int) -> None:
        self.submit(a, b, c, self.a_job(b))

    def hold(self, a: int, b: int, c: int) -> None:
        verbs.hold(self.a_job(a, status=Status.QUEUED), self.user(b), "later")

    def release(self, a: int, b: int, c: int) -> None:
        verbs.release(self.a_job(a, held_at__isnull=False), self.user(b))

    def move_to(self, a: int, b: int, c: int) -> None:
        job, by = self.a_job(a, status=Status.QUEUED), self.user(b)
        places: list[verbs.Place] = ["up", "down", "first", "last"]
        with self.others_stay(job, by):
            verbs.move_to(job, by, places[c % 4])

    def move_beside(self, a: int, b: int, c: int) -> None:
        job, other = (self.a_job(pick, status=Status.QUEUED) for pick in (a, c))
        by, behind = self.user(b), a % 2
        with self.others_stay(job, by):
            move = verbs.move_after if behind else verbs.move_before
            if move(job, by, other) and by.is_staff:
                line = [each.pk for each in claims.line_of(job.machine)]
                assert line.index(other.pk) - line.index(job.pk) == (-1 if behind else 1)

    def priority(self, a: int, b: int, c: int) -> None:
        job = self.a_job(a, status=Status.QUEUED)
        verbs.set_priority(job, self.user(b), list(Priority)[c % 3])

    def stop(self, a: int, b: int, c: int) -> None:
        ends.stop(self.a_job(a), who="ada")

    # What workers and machines do

    def claim(self, a: int, b: int, c: int) -> None:
        """A worker starts one job of a queue; it, or the other, goes on with it later."""
        if not self.asked:
            return
        machine = self.asked[a % len(self.asked)]
        job = start.claim_next(machine)
        if job is None:
            self.asked.remove(machine)
            return
        self.outcome = OUTCOMES[b % len(OUTCOMES)]
        start.launch(job)

    def drain(self, a: int = 0, b: int = 0, c: int = 0) -> None:
        """The workers come to the end of what they were asked."""
        self.outcome = None
        while self.asked:
            start.launch_queued(self.asked.pop())

    def end(self, a: int, b: int, c: int) -> None:
        job = Job.objects.active().order_by("pk").first()
        if job:
            ends.finish_as(job, ENDED[b % len(ENDED)], "So it was.")

    def seen_to_run(self, a: int, b: int, c: int) -> None:
        job = Job.objects.filter(status=Status.STARTING).order_by("pk").first()
        if job:
            start.started(job)

    def resize(self, a: int, b: int, c: int) -> None:
        machine = self.machine(a)
        if machine.is_group:
            return
        jobs = self.facts()
        self.busy[machine.pk] = self.busy_on(
            machine.pk, jobs
        )  # there may be more of them than slots from now on
        machine.gpus, machine.slots = (None, 0, 1, 2, 4)[b % 5], 1 + c % 3
        machine.save()
        self.watch()

    def lose_task(self, a: int, b: int, c: int) -> None:
        """A worker dies with what it was asked; the watcher sees to it."""
        if self.asked:
            self.asked.pop(a % len(self.asked))
        self.watch()

    def watch(self) -> None:
        kept, self.asked = self.asked, []  # it looks again when the workers have nothing to do
        overdue.kick_stuck()
        self.asked += kept

    # What holds

    @invariant()
    def all_holds(self) -> None:
        jobs = self.facts()
        held = list(Lease.objects.order_by().values_list("machine", "device", "job"))
        self.leases_are_right(jobs, held)
        assert all(times == 1 for times in self.launches.values()), "started twice"
        for machine in getattr(self, "machines", []):
            self.slots_are_kept_to(machine, jobs)
            if machine.pk not in self.asked:
                self.nothing_waits_in_vain(machine, jobs, held)
        for job in jobs.values():
            begun = job["status"] not in ("queued", "failed", "stopped")
            if job["trains_on"] and begun:
                assert jobs[job["after"]]["status"] == "completed"

    def facts(self) -> Jobs:
        jobs = {job["pk"]: job for job in Job.objects.order_by().values(*FACTS)}
        heirs = set(JobInput.objects.filter(source__isnull=False).values_list("job", flat=True))
        for job in jobs.values():
            job["trains_on"] = job["pk"] in heirs
        return jobs

    def leases_are_right(self, jobs: Jobs, held: list[tuple[int, int, int]]) -> None:
        assert len({(machine, device) for machine, device, _ in held}) == len(held)
        for machine, _, job in held:
            assert machine in self.members(jobs[job]["machine"])
        active = [job for job in jobs.values() if job["status"] in ACTIVE]
        asked = {job["pk"]: job["gpus"] for job in active if job["gpus"]}
        assert Counter(job for _, _, job in held) == asked

    def members(self, pk: int) -> list[int]:
        """The machines that a job is on: its own, or those of its group, the head first."""
        first, second, group = (machine.pk for machine in self.machines)
        return [first, second] if pk == group else [pk]

    def busy_on(self, pk: int, jobs: Jobs) -> int:
        """Slots of the CPU in use: a group's job takes one of each of its machines."""
        mine = [
            job for job in jobs.values() if not job["gpus"] and pk in self.members(job["machine"])
        ]
        return sum(job["status"] in ACTIVE for job in mine)

    def slots_are_kept_to(self, machine: Machine, jobs: Jobs) -> None:
        """No more on the CPU than there are slots, or than there were before there were fewer."""
        if machine.is_group:
            return
        busy = self.busy_on(machine.pk, jobs)
        assert busy <= max(machine.slots, self.busy[machine.pk])
        self.busy[machine.pk] = busy

    def nothing_waits_in_vain(
        self, machine: Machine, jobs: Jobs, held: list[tuple[int, int, int]]
    ) -> None:
        """Said in other words than the code that decides it."""
        mine = [job for job in jobs.values() if job["machine"] == machine.pk]
        leased = [(where, device) for where, device, _ in held]
        on = [each for each in self.machines if each.pk in self.members(machine.pk)]
        free = [sum((one.pk, n) not in leased for n in range(one.gpus or 0)) for one in on]
        slot = all(self.busy_on(one.pk, jobs) < one.slots for one in on)
        known = all(one.gpus is not None for one in on)
        for job in mine:
            if job["status"] != "queued":
                continue
            before = jobs[job["after"]]["status"] if job["after"] else "completed"
            in_vain = job["trains_on"] and before in ("failed", "stopped", "lost")
            assert not in_vain, f"its checkpoint will not come: {job}"
            if not job["held_at"] and before in ENDED:
                asked, evenly = job["gpus"], job["kind"] != "sft" and len(on) == 2
                half = asked % 2 == 0 and min(free) >= asked // 2
                fits = known and (free[0] >= asked or (evenly and half)) if asked else slot
                assert not fits, f"forgotten: {job}"

    # Helpers

    def user(self, which: int) -> User:
        return self.users[which % len(self.users)]

    def machine(self, which: int) -> Machine:
        return self.machines[which % len(self.machines)]

    def a_job(self, which: int, **wanted: Any) -> Job:
        """One of the newest that have not ended: of those wanted, most often."""
        jobs = Job.objects.exclude(status__in=ENDED).order_by("-pk")
        found = list(jobs.filter(**wanted)[:10]) if which % 10 else []
        found = found or list(jobs[:10]) or [factories.make_job(machine=self.machines[0])]
        return found[which % len(found)]

    @contextmanager
    def others_stay(self, job: Job, by: User) -> Iterator[None]:
        """Whoever is not staff moves nobody else's job."""
        before = [(each.pk, each.owner_id) for each in claims.line_of(job.machine)]
        yield
        after = [(each.pk, each.owner_id) for each in claims.line_of(job.machine)]
        assert sorted(before) == sorted(after)
        if not by.is_staff:
            assert [of for _, of in before] == [of for _, of in after]
            assert [pk for pk, of in before if of != by.pk] == [
                pk for pk, of in after if of != by.pk
            ]


@pytest.mark.backends
@pytest.mark.django_db
@pytest.mark.parametrize("half", HALVES)
def test_what_must_hold_holds_after_any_operations(
    half: int, capsys: pytest.CaptureFixture[str]
) -> None:
    operations.clear()
    options: dict[str, Any] = {"suppress_health_check": list(HealthCheck), "deadline": None}
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=EXAMPLES // 2, stateful_step_count=STEPS, database=None, **options
        ),
    )
    with capsys.disabled():
        if "QUEUE_EXAMPLES" in os.environ:
            print(f"\n{operations.total()} operations: {dict(operations)}")  # noqa: T201
    assert set(operations) == {*WEIGHTED, "refused"}
