"""A machine that starts nothing for a while: its line waits, and says why."""

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.models import Machine, SetUp
from jobs import leases, services
from jobs.models import Job, Status
from jobs.queue_state import reason_of
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
    assert leases.could_start(machine)
    assert services.claim_next(machine.pk) == job


def test_an_unreachable_machine(job: Job, machine: Machine) -> None:
    Machine.objects.filter(pk=machine.pk).update(unreachable_since=timezone.now())
    machine.refresh_from_db()
    assert services.claim_next(machine.pk) is None
    assert not leases.could_start(machine)
    assert reason_of(Job.objects.get(pk=job.pk)) == "box is unreachable."


@pytest.mark.parametrize(("state", "starts"), [("working", False), ("done", True)])
def test_while_its_environment_is_made_nothing_starts(
    job: Job, machine: Machine, state: str, starts: bool
) -> None:
    now = timezone.now()
    SetUp.objects.create(machine=machine, state=state, asked_at=now, beat_at=now)
    assert leases.could_start(machine) is starts
    why = "" if starts else "The environment of box is being made."
    assert reason_of(job).startswith(why)
    assert (services.claim_next(machine.pk) == job) is starts
