"""A machine that starts nothing for a while: its line waits, and says why."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.models import Machine, SetUp, when
from compute.runners.local.runner import LocalRunner
from jobs import resuming
from jobs.launch import overdue, start
from jobs.models import Job, Status
from jobs.queue import claims
from jobs.queue.state import reason_of
from tests import factories

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def machine() -> Machine:
    return factories.make_ssh_machine(name="box", python="/venv/bin/python")


@pytest.fixture
def job(user: User, machine: Machine) -> Job:
    asked = {"status": Status.QUEUED, "queued_at": timezone.now()}
    return factories.make_job(user, machine=machine, **asked)


def test_it_starts_when_the_machine_is_there(job: Job, machine: Machine) -> None:
    assert claims.could_start(machine)
    assert start.claim_next(machine.pk) == job


def test_an_unreachable_machine(job: Job, machine: Machine) -> None:
    Machine.objects.filter(pk=machine.pk).update(unreachable_since=timezone.now())
    machine.refresh_from_db()
    assert start.claim_next(machine.pk) is None
    assert not claims.could_start(machine)
    assert reason_of(Job.objects.get(pk=job.pk)) == "box is unreachable."


@pytest.mark.parametrize(("state", "starts"), [("working", False), ("done", True)])
def test_while_its_environment_is_made_nothing_starts(
    job: Job, machine: Machine, state: str, starts: bool
) -> None:
    now = timezone.now()
    SetUp.objects.create(machine=machine, state=state, asked_at=now, beat_at=now)
    assert claims.could_start(machine) is starts
    why = "" if starts else "The environment of box is being made."
    assert reason_of(job).startswith(why)
    assert (start.claim_next(machine.pk) == job) is starts


def rental_of(machine: Machine, **left: float) -> str:
    ends = timezone.now() + timedelta(**left)
    Machine.objects.filter(pk=machine.pk).update(rental_ends_at=ends)
    machine.refresh_from_db()
    return when(ends)


def test_a_rental_that_is_over_starts_nothing_until_it_is_extended(
    job: Job, machine: Machine
) -> None:
    at = rental_of(machine, seconds=-1)
    assert start.claim_next(machine.pk) is None
    assert not claims.could_start(machine)
    assert reason_of(Job.objects.get(pk=job.pk)) == f"The rental of box ended at {at}."
    at = rental_of(machine, minutes=4)
    assert start.claim_next(machine.pk) is None
    told = f"The rental of box ends at {at}: too soon for a run to save a checkpoint."
    assert reason_of(Job.objects.get(pk=job.pk)) == told
    rental_of(machine, hours=6)
    assert claims.could_start(machine)
    assert start.claim_next(machine.pk) == job


def saved_in(job: Job, seconds: float) -> None:
    """An earlier attempt whose save took so long."""
    Job.objects.filter(pk=job.pk).update(attempt=2)
    factories.add_points(job, "timing_s/save_checkpoint", {1: 1.0, 2: seconds})


@pytest.mark.backends
def test_a_job_whose_own_saves_take_longer_than_what_is_left(
    job: Job, user: User, machine: Machine
) -> None:
    saved_in(job, 400.0)
    quick = factories.make_job(
        user, machine=machine, status=Status.QUEUED, queued_at=timezone.now()
    )
    at = rental_of(machine, minutes=10)
    told = f"The rental of box ends at {at}: too soon to save a checkpoint, which took 400 s."
    assert reason_of(Job.objects.get(pk=job.pk)) == told
    assert start.claim_next(machine.pk) == quick
    assert start.claim_next(machine.pk) is None
    rental_of(machine, minutes=20)
    Machine.objects.filter(pk=machine.pk).update(slots=2)
    assert start.claim_next(machine.pk) == job


def test_a_retry_does_not_start_there(job: Job, machine: Machine) -> None:
    rental_of(machine, seconds=-1)
    Job.objects.filter(pk=job.pk).update(
        status=Status.FAILED, started_at=timezone.now(), ended_at=timezone.now(),
        retries=3, retry_at=timezone.now(),
    )  # fmt: skip
    resuming.retry_due()
    overdue.kick_stuck()
    start.launch_queued(machine.pk)
    job.refresh_from_db()
    assert (job.status, job.attempt, job.started_at) == (Status.QUEUED, 2, None)
    assert reason_of(job).startswith("The rental of box ended at")


def test_a_rental_that_ended_while_the_data_was_sent(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object) -> None:
        raise AssertionError("it was started")

    monkeypatch.setattr(LocalRunner, "launch", started)
    job = factories.make_job(user, status=Status.STARTING, started_at=timezone.now())
    at = rental_of(job.machine, seconds=-1)
    start.launch(Job.objects.get(pk=job.pk))
    job.refresh_from_db()
    assert (job.status, job.reason) == (
        Status.QUEUED, f"The rental of {job.machine} ended at {at}."
    )  # fmt: skip
