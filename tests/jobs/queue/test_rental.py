"""What is said when a job is sent to a machine whose rental ends: measured, or not at all."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from compute.machines.local import local_machine
from compute.models import Machine
from jobs.models import Job, Status
from jobs.queue import rental
from tests import factories

pytestmark = pytest.mark.usefixtures("queue")


def rent(**left: float) -> None:
    ends = timezone.now() + timedelta(**left)
    Machine.objects.filter(pk=local_machine().pk).update(rental_ends_at=ends)


def measured(job: Job, step_seconds: float) -> Job:
    """An ended job whose steps took so long."""
    began = timezone.now() - timedelta(days=1)
    Job.objects.filter(pk=job.pk).update(
        status=Status.PAUSED, step=11, anchor_step=1, anchor_at=began, started_at=began,
        ended_at=timezone.now(), step_at=began + timedelta(seconds=10 * step_seconds),
    )  # fmt: skip
    job.refresh_from_db()
    return job


def new(user: User, **fields: Any) -> Job:
    return factories.make_job(user, **{"steps": 100} | fields)


def test_without_a_measured_step_no_number_is_made_up(user: User) -> None:
    job = new(user)
    assert rental.warning(job) == ""
    rent(minutes=10)
    assert rental.warning(Job.objects.get(pk=job.pk)) == ""


def test_by_the_pace_of_a_job_with_the_same_settings(user: User, other: User) -> None:
    before = measured(new(user), 60.0)
    measured(new(other), 999.0)
    measured(new(user, machine=factories.make_machine()), 999.0)
    measured(new(user, spec=factories.sft_spec(lr=0.5).to_json()), 999.0)
    rent(minutes=90)
    assert rental.warning(new(user)) == (
        "100 steps take about 1 h 40 m by the 60 s a step that job "
        f"{before.pk}, with the same settings, took, and the rental of this machine ends in "
        "1 h 30 m. It saves and pauses before that."
    )
    rent(minutes=110)
    assert rental.warning(new(user)) == ""


def test_to_go_on_by_the_pace_of_its_last_attempt(user: User) -> None:
    job = measured(new(user), 60.0)
    rent(minutes=60)
    job = Job.objects.get(pk=job.pk)
    told = rental.warning_to_resume(job, None)
    assert told.startswith("89 steps take about 1 h 29 m by the 60 s a step that its last attempt")
    assert rental.warning_to_resume(job, 50) == ""


def test_what_cannot_save_and_what_would_wait(user: User) -> None:
    old = new(user, spec=factories.spec_of("sft", verl="0.8.0").to_json())
    rent(hours=1)
    told = rental.warning(Job.objects.get(pk=old.pk))
    assert "this run cannot save before it: verl 0.8.0 saves at its own times only" in told
    rent(seconds=-1)
    told = rental.warning(Job.objects.get(pk=old.pk))
    assert told.startswith("The rental of this machine ended at")
    assert told.endswith("It waits until the rental is extended.")


def test_a_job_is_taken_with_a_warning(page: Client, sft_data: dict[str, str]) -> None:
    rent(seconds=-1)
    preview = page.post("/jobs/new/sample-sft/preview/", sft_data).content.decode()
    assert "It waits until the rental is extended." in preview
    response = page.post("/jobs/new/sample-sft/", sft_data | {"action": "start"}, follow=True)
    assert Job.objects.get().status == Status.QUEUED
    assert "It waits until the rental is extended." in response.content.decode()


def test_so_does_starting_a_draft(page: Client, user: User) -> None:
    job = new(user)
    rent(seconds=-1)
    content = page.post(f"/jobs/{job.pk}/start/", follow=True).content.decode()
    assert "It waits until the rental is extended." in content
    job.refresh_from_db()
    assert job.status == Status.QUEUED


def test_the_commands_say_it_as_well(staff: User, samples: object) -> None:
    rent(seconds=-1)
    err = StringIO()
    call_command("submit", "sample-sft", stdout=StringIO(), stderr=err)
    assert "It waits until the rental is extended." in err.getvalue()
    job = measured(new(staff), 60.0)
    rent(minutes=60)
    err = StringIO()
    call_command("resume", str(job.pk), stdout=StringIO(), stderr=err)
    assert err.getvalue().startswith("89 steps take about 1 h 29 m")
