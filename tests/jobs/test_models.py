from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User

from compute.models import Machine
from jobs.models import Job, Status
from tests import factories

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_one_sees_ones_own_jobs_and_staff_all(user: User, other: User, staff: User) -> None:
    mine, theirs = factories.make_job(user), factories.make_job(other)
    assert list(Job.objects.visible_to(user)) == [mine]
    assert set(Job.objects.visible_to(staff)) == {mine, theirs}
    assert list(Job.objects.visible_to(AnonymousUser())) == []


def test_who_waits_for_a_job(user: User) -> None:
    first = factories.make_job(user, status=Status.RUNNING)
    after = factories.make_job(user, status=Status.QUEUED, after=first)
    heir = factories.make_job(user, status=Status.QUEUED)
    heir.inputs.create(source=first, role="model")
    over = factories.make_job(user, status=Status.FAILED, after=first)
    over.inputs.create(source=first, role="model")
    factories.make_job(user, status=Status.QUEUED)
    assert set(Job.objects.waiting_for(first)) == {after, heir}


def test_the_queue_is_in_order_of_arrival(user: User) -> None:
    late = factories.make_job(user, status=Status.QUEUED, queued_at=NOW + timedelta(seconds=1))
    early = factories.make_job(user, status=Status.QUEUED, queued_at=NOW)
    same = factories.make_job(user, status=Status.QUEUED, queued_at=NOW)
    assert list(Job.objects.queued()) == [early, same, late]
    assert [job.queue_position for job in (early, same, late)] == [1, 2, 3]


def test_a_job_on_another_machine_is_not_ahead(user: User) -> None:
    elsewhere = factories.make_machine()
    factories.make_job(user, status=Status.QUEUED, queued_at=NOW, machine=elsewhere)
    mine = factories.make_job(user, status=Status.QUEUED, queued_at=NOW)
    assert mine.queue_position == 1
    assert factories.make_job(user).queue_position is None


def test_a_job_that_has_begun_meanwhile_has_no_place(user: User) -> None:
    job = factories.make_job(user, status=Status.QUEUED, queued_at=NOW)
    Job.objects.update(status=Status.STARTING)
    assert job.status == Status.QUEUED
    assert job.queue_position is None


@pytest.mark.parametrize(
    ("status", "asked", "start", "stop", "ended"),
    [
        ("draft", False, True, False, False),
        ("queued", False, False, True, False),
        ("starting", False, False, True, False),
        ("running", False, False, True, False),
        ("running", True, False, False, False),
        ("completed", False, False, False, True),
        ("failed", False, False, False, True),
        ("stopped", False, False, False, True),
        ("lost", False, False, False, True),
    ],
)
def test_what_can_be_done(status: str, asked: bool, start: bool, stop: bool, ended: bool) -> None:
    job = Job(status=status, stop_asked_at=NOW if asked else None)
    assert (job.can_start, job.can_stop, job.has_ended) == (start, stop, ended)


@pytest.mark.parametrize(
    ("step", "steps", "percent"), [(16, 64, 25.0), (0, 64, 0.0), (70, 64, 100.0), (5, None, None)]
)
def test_percent(step: int, steps: int | None, percent: float | None) -> None:
    assert Job(step=step, steps=steps).percent == percent


def test_pace_counts_from_the_first_step_seen() -> None:
    job = Job(
        status=Status.RUNNING,
        steps=64,
        step=11,
        anchor_step=1,
        anchor_at=NOW,
        step_at=NOW + timedelta(seconds=20),
    )
    assert job.seconds_per_step == 2.0
    assert job.time_left == timedelta(seconds=106)


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 64, "step": 1, "anchor_step": 1, "anchor_at": NOW, "step_at": NOW},
        {"steps": 64, "step": 5},
        {"steps": None, "step": 5, "anchor_step": 1, "anchor_at": NOW, "step_at": NOW},
    ],
)
def test_no_pace_no_time_left(fields: dict[str, object]) -> None:
    assert Job(status=Status.RUNNING, **fields).time_left is None


def test_the_run_directory() -> None:
    job = Job(machine=Machine(workdir="/data/trainyard/"), attempt=2)
    assert job.run_dir == f"/data/trainyard/runs/{job.uuid}/attempt-2"
