"""Claims, leases, and what people do with the queue."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from compute.models import Machine, MachineSample
from compute.runners import base
from compute.runners.local.runner import LocalRunner
from jobs import lifecycle
from jobs.launch import command, overdue, start, submit
from jobs.launch import end as ends
from jobs.models import Job, Lease, Priority, Status
from jobs.queue import claims, verbs
from jobs.queue.state import reason_of
from jobs.queue.verbs import QueueError
from tests import factories, taskqueue
from tests.waiting import together

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[base.Launch]:
    """Launches are noted, not done."""
    found: list[base.Launch] = []
    monkeypatch.setattr(LocalRunner, "launch", lambda self, launch: found.append(launch))
    return found


@pytest.fixture
def box(db: None) -> Machine:
    return factories.make_machine(gpus=4)


def order(owner: User, machine: Machine, gpus: int, **fields: Any) -> submit.Order:
    values = {"device": "cuda" if gpus else "cpu", "gpus": max(1, gpus)}
    spec = factories.sft_spec(**values)
    return factories.make_order(owner, machine=machine, spec=spec, **fields)


def submitted(owner: User, machine: Machine, gpus: int = 0, **fields: Any) -> Job:
    return submit.submit(order(owner, machine, gpus, **fields), start=True)


def line(machine: Machine) -> list[int]:
    return [job.pk for job in claims.line_of(machine)]


def told(job: Job) -> list[tuple[str, str, str]]:
    return [(event.kind, event.who, event.message) for event in job.events.all()]


def devices(job: Job) -> tuple[int, ...]:
    return claims.leased_devices(job)


def test_a_job_gets_named_devices_and_its_command_says_so(
    launched: list[base.Launch], user: User, box: Machine
) -> None:
    jobs = [submitted(user, box, gpus) for gpus in (1, 2, 2, 1)]
    assert "CUDA_VISIBLE_DEVICES" not in command.script_of(jobs[1])
    start.launch_queued(box.pk)
    assert [devices(job) for job in jobs] == [(0,), (1, 2), (), (3,)]
    said = [launch.env.get("CUDA_VISIBLE_DEVICES") for launch in launched]
    assert said == ["0", "1,2", "3"]
    assert {launch.env["CUDA_DEVICE_ORDER"] for launch in launched} == {"PCI_BUS_ID"}
    script = command.script_of(Job.objects.get(pk=jobs[1].pk))
    assert "export CUDA_VISIBLE_DEVICES=1,2\n" in script


def test_a_job_on_the_cpu_takes_a_slot_and_no_device(
    launched: list[base.Launch], user: User, box: Machine
) -> None:
    first, second, third = (submitted(user, box, gpus) for gpus in (0, 0, 4))
    start.launch_queued(box.pk)
    statuses = Job.objects.filter(pk__in=[first.pk, second.pk, third.pk]).order_by("pk")
    assert [job.status for job in statuses] == ["running", "queued", "running"]
    assert devices(first) == ()
    assert "CUDA_VISIBLE_DEVICES" not in launched[0].env


@pytest.mark.parametrize("end", ["completed", "failed", "stopped", "lost"])
def test_every_end_gives_the_devices_back_and_starts_the_next(
    launched: list[base.Launch],
    user: User,
    box: Machine,
    end: str,
    django_capture_on_commit_callbacks: OnCommit,
) -> None:
    first, second = submitted(user, box, 3), submitted(user, box, 2)
    start.launch_queued(box.pk)
    first.refresh_from_db()
    with django_capture_on_commit_callbacks(execute=True):
        lifecycle.move(first, Status(end))
    assert devices(first) == ()
    taskqueue.work()
    assert devices(second) == (0, 1)


def test_a_start_that_fails_gives_the_devices_back(
    user: User, box: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: LocalRunner, launch: base.Launch) -> None:
        assert Lease.objects.count() == 4
        raise base.RunnerError("No.")

    monkeypatch.setattr(LocalRunner, "launch", refuse)
    jobs = [submitted(user, box, 4) for _ in range(2)]
    start.launch_queued(box.pk)
    assert {Job.objects.get(pk=job.pk).status for job in jobs} == {"failed"}
    assert not Lease.objects.exists()


@pytest.mark.backends
def test_the_database_itself_lets_no_device_into_two_leases(user: User, box: Machine) -> None:
    first, second = (factories.make_job(user, machine=box) for _ in range(2))
    Lease.objects.create(job=first, machine=box, device=0)
    with pytest.raises(IntegrityError), transaction.atomic():
        Lease.objects.create(job=second, machine=box, device=0)
    Lease.objects.create(job=second, machine=factories.make_machine(), device=0)


@pytest.mark.backends
@pytest.mark.django_db(transaction=True)
def test_workers_at_once_give_each_device_to_one(launched: list[base.Launch], user: User) -> None:
    box = factories.make_machine(gpus=8, slots=2)
    for gpus in (1, 2, 3, 0, 1, 4, 0, 2, 0, 1):
        submitted(user, box, gpus)
    together(lambda: start.launch_queued(box.pk), 4)
    held = list(Lease.objects.values_list("device", flat=True))
    assert sorted(held) == list(range(8))
    assert len({launch.attempt_dir for launch in launched}) == len(launched)
    assert Job.objects.active().filter(gpus=0).count() == 2
    assert not claims.could_start(box)


@pytest.mark.backends
@pytest.mark.django_db(transaction=True)
def test_what_is_held_released_moved_and_ended_at_once_starts_once(
    launched: list[base.Launch], user: User, staff: User
) -> None:
    box = factories.make_machine(gpus=2)
    jobs = [submitted(user, box, gpus) for gpus in (1, 2, 1, 1, 2, 1)]

    def everything() -> None:
        start.launch_queued(box.pk)
        for job in (Job.objects.get(pk=each.pk) for each in jobs):
            try:
                verbs.hold(job, staff)
                verbs.move_to(job, staff, "first")
                verbs.release(job, staff)
            except QueueError:
                continue  # it has begun
        # Only what was launched can have a verdict.
        for job in Job.objects.filter(status=Status.RUNNING):
            ends.finish(job, 1)
        start.launch_queued(box.pk)

    together(everything, 3)
    for _ in jobs:
        for job in Job.objects.active():
            ends.finish(job, 1)
        taskqueue.work()
    assert Counter(launch.attempt_dir for launch in launched) == {job.run_dir: 1 for job in jobs}
    assert not Lease.objects.exists()


def test_gpus_are_those_that_were_measured_unless_a_number_is_set(user: User) -> None:
    box = factories.make_machine()
    assert claims.room_of(box).gpus is None
    gpus = [{"index": 0, "name": "H100"}, {"index": 3, "name": "H100"}]
    MachineSample.objects.create(machine=box, at=timezone.now(), data={"gpus": gpus})
    assert claims.room_of(box).gpus == frozenset({0, 3})
    box.gpus = 1
    assert claims.room_of(box).gpus == frozenset({0})


def test_a_job_waits_until_the_gpus_are_known(
    launched: list[base.Launch], user: User, django_capture_on_commit_callbacks: OnCommit
) -> None:
    box = factories.make_machine()
    job = submitted(user, box, 1)
    Job.objects.update(queued_at=timezone.now() - timedelta(seconds=9))
    start.launch_queued(box.pk)
    assert launched == []
    Machine.objects.filter(pk=box.pk).update(gpus=1)
    with django_capture_on_commit_callbacks(execute=True):
        overdue.kick_stuck()
    taskqueue.work()
    assert devices(job) == (0,)


def test_what_no_longer_fits_blocks_nobody(
    launched: list[base.Launch], user: User, box: Machine
) -> None:
    large, small = submitted(user, box, 4), submitted(user, box, 1)
    Machine.objects.filter(pk=box.pk).update(gpus=2)
    start.launch_queued(box.pk)
    assert devices(small) == (0,)
    assert reason_of(Job.objects.get(pk=large.pk)) == (
        "It needs 4 GPUs, and this machine has 2 GPUs: it can never start here."
    )


def test_users_take_turns(launched: list[base.Launch], user: User, other: User) -> None:
    box = factories.make_machine(gpus=1)
    running = submitted(user, box, 1)
    start.launch_queued(box.pk)
    mine = [submitted(user, box, 1).pk for _ in range(3)]
    theirs = [submitted(other, box, 1).pk for _ in range(2)]
    assert line(box) == [theirs[0], mine[0], theirs[1], mine[1], mine[2]]
    ends.finish(Job.objects.get(pk=running.pk), 1)
    start.launch_queued(box.pk)
    assert Job.objects.get(pk=theirs[0]).status == Status.RUNNING


def test_the_urgent_come_first(user: User, staff: User, box: Machine) -> None:
    low, normal, high = (submitted(user, box, 1) for _ in range(3))
    assert verbs.set_priority(low, user, Priority.LOW) is True
    assert verbs.set_priority(high, staff, Priority.HIGH) is True
    assert verbs.set_priority(high, staff, Priority.HIGH) is False
    assert line(box) == [high.pk, normal.pk, low.pk]
    assert told(high)[-1] == ("priority", "root", "high")
    with pytest.raises(QueueError, match="High priority is for staff to give"):
        verbs.set_priority(normal, user, Priority.HIGH)


def test_a_held_job_waits_until_it_is_released(
    launched: list[base.Launch],
    user: User,
    box: Machine,
    django_capture_on_commit_callbacks: OnCommit,
) -> None:
    job = submitted(user, box, 1)
    assert verbs.hold(job, user, "data come on Monday") is True
    assert verbs.hold(job, user) is False
    start.launch_queued(box.pk)
    assert launched == []
    assert job.status == Status.QUEUED
    assert reason_of(job) == "Held by ada: data come on Monday."
    with django_capture_on_commit_callbacks(execute=True):
        assert verbs.release(job, user) is True
    assert verbs.release(job, user) is False
    taskqueue.work()
    assert len(launched) == 1
    assert told(job)[1:3] == [("held", "ada", "data come on Monday"), ("released", "ada", "")]


def test_what_staff_hold_only_staff_release(user: User, staff: User, box: Machine) -> None:
    job = submitted(user, box, 1)
    verbs.hold(job, staff)
    with pytest.raises(QueueError, match="held by root, who can release it"):
        verbs.release(job, user)
    assert verbs.release(job, staff) is True


def test_a_job_that_runs_is_not_held(user: User, box: Machine) -> None:
    job = factories.make_job(user, machine=box, status=Status.RUNNING)
    with pytest.raises(QueueError, match="is running: it is not waiting"):
        verbs.hold(job, user)


def test_nobody_touches_anothers_job(user: User, other: User, box: Machine) -> None:
    job = submitted(user, box, 1)
    with pytest.raises(QueueError, match=f"Job {job.pk} is ada's"):
        verbs.hold(job, other)
    with pytest.raises(QueueError, match=f"Job {job.pk} is ada's"):
        verbs.move_to(job, other, "first")
    assert told(job) == [("queued", "ada", "")]


def test_staff_move_a_job_among_all(user: User, other: User, staff: User, box: Machine) -> None:
    jobs = [submitted(who, box, 1) for who in (user, other, user, other)]
    a, b, c, d = (job.pk for job in jobs)
    assert verbs.move_before(jobs[3], staff, jobs[0]) is True
    assert line(box) == [d, a, b, c]
    assert told(jobs[3])[-1] == ("moved", "root", f"before job {a}")
    assert verbs.move_to(jobs[3], staff, "down") is True
    assert line(box) == [a, d, b, c]
    assert verbs.move_to(jobs[1], staff, "last") is True
    assert line(box) == [a, d, c, b]
    assert told(jobs[1])[-1] == ("moved", "root", "to the end")
    assert verbs.move_to(jobs[0], staff, "up") is False
    assert verbs.move_before(jobs[0], staff, jobs[0]) is False


def test_an_owner_moves_only_among_the_own_jobs(user: User, other: User, box: Machine) -> None:
    jobs = [submitted(who, box, 1) for who in (user, other, user, other, user)]
    a, b, c, d, e = (job.pk for job in jobs)
    assert verbs.move_before(jobs[4], user, jobs[0]) is True
    assert line(box) == [e, b, a, d, c]
    assert verbs.move_to(jobs[4], user, "down") is True
    assert line(box) == [a, b, e, d, c]
    with pytest.raises(QueueError, match=f"Job {b} is mallory's: you can move a job among"):
        verbs.move_before(jobs[4], user, jobs[1])


def test_moves_that_make_no_sense_say_why(user: User, staff: User, box: Machine) -> None:
    job, low = submitted(user, box, 1), submitted(user, box, 1)
    verbs.set_priority(low, staff, Priority.LOW)
    elsewhere = submitted(user, factories.make_machine(gpus=1), 1)
    running = factories.make_job(user, machine=box, status=Status.RUNNING)
    for other, why in (
        (low, r"priorities differ \(low and normal\)"),
        (elsewhere, "waits for another machine"),
        (running, "is running: it is not waiting"),
    ):
        with pytest.raises(QueueError, match=why):
            verbs.move_before(job, staff, other)


def test_an_order_that_was_made_holds_for_who_comes_later(user: User, box: Machine) -> None:
    first, second = submitted(user, box, 1), submitted(user, box, 1)
    verbs.move_to(second, user, "first")
    third = submitted(user, box, 1)
    assert line(box) == [second.pk, first.pk, third.pk]
    assert [Job.objects.get(pk=job.pk).queue_position for job in (second, first, third)] == [
        1, 2, 3,
    ]  # fmt: skip


def test_a_job_that_comes_back_takes_its_place_anew(
    launched: list[base.Launch], user: User, box: Machine
) -> None:
    first, second = submitted(user, box, 4), submitted(user, box, 4)
    verbs.move_to(second, user, "first")
    start.launch_queued(box.pk)
    second.refresh_from_db()
    assert (second.status, second.position) == ("running", None)
    assert line(box) == [first.pk]


def test_each_says_why_it_waits(user: User, box: Machine) -> None:
    before = factories.make_job(user, machine=box, status=Status.RUNNING, gpus=0)
    Lease.objects.create(job=before, machine=box, device=1)
    four = submitted(user, box, 4)
    after = submitted(user, box, 1, after=before)
    cpu = submitted(user, box, 0)
    assert reason_of(four) == "Waits for 4 GPUs; 3 are free."
    assert reason_of(after) == f"After job {before.pk}, which is running."
    assert reason_of(cpu) == "Waits for 1 CPU slot; 0 of 1 are free."
    assert reason_of(before) == ""
