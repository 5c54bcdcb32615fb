"""A job that goes on: one x-axis, one log a attempt, nothing twice."""

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from jobs.models import Job, Status
from monitoring.models import Series
from monitoring.watch import watching_run
from tests import factories
from tests.factories import append_run_file, metrics_line, write_run_file

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status=Status.RUNNING, started_at=timezone.now(), steps=6)
    write_run_file(job, "heartbeat", f"{time.time():.3f}\n")
    return job


def steps_of(job: Job, name: str) -> dict[int, float]:
    return {step: value for (key, step), value in factories.points_of(job).items() if key == name}


def next_attempt(job: Job, step: int) -> Job:
    Job.objects.filter(pk=job.pk).update(
        attempt=2, resume_step=step, step=step, status=Status.RUNNING
    )
    job.refresh_from_db()
    write_run_file(job, "heartbeat", f"{time.time():.3f}\n")
    return job


def test_a_pause_ends_the_attempt(job: Job) -> None:
    write_run_file(job, "metrics.jsonl", metrics_line(1) + metrics_line(2))
    event = '{"at": 1.5, "kind": "paused", "message": "paused after step 2", "step": 2}\n'
    write_run_file(job, "events.jsonl", event)
    write_run_file(job, "exit_code", "0\n")
    watching_run.watch(job)
    assert job.status == Status.PAUSED
    assert job.reason == "Paused after step 2, whose checkpoint is saved."


def test_the_curves_go_on_from_the_checkpoint(job: Job) -> None:
    lines = "".join(metrics_line(step, a=1.0, only_once=1.0) for step in (1, 2))
    write_run_file(job, "metrics.jsonl", lines + metrics_line(3, a=1.0, gone=1.0))
    watching_run.watch(job)
    # It is watched before anybody has chosen the checkpoint, and before it wrote anything.
    Job.objects.filter(pk=job.pk).update(attempt=2, resume_step=None, status=Status.STARTING)
    job.refresh_from_db()
    watching_run.watch(job)
    next_attempt(job, step=2)
    watching_run.watch(job)
    assert steps_of(job, "a") == {1: 1.0, 2: 1.0, 3: 1.0}
    write_run_file(job, "metrics.jsonl", metrics_line(3, a=2.0))
    watching_run.watch(job)
    assert not Series.objects.filter(job=job, name="gone").exists()
    assert steps_of(job, "a") == {1: 1.0, 2: 1.0, 3: 2.0}
    append_run_file(job, "metrics.jsonl", metrics_line(4, a=2.0))
    watching_run.watch(job)
    assert steps_of(job, "a") == {1: 1.0, 2: 1.0, 3: 2.0, 4: 2.0}
    assert steps_of(job, "only_once") == {1: 1.0, 2: 1.0}
    assert (job.step, Series.objects.get(job=job, name="a").last_value) == (4, 2.0)


def test_what_came_after_the_checkpoint_goes_though_the_attempt_ends_sooner(job: Job) -> None:
    write_run_file(
        job, "metrics.jsonl", "".join(metrics_line(step, a=1.0) for step in (1, 2, 3, 4))
    )
    watching_run.watch(job)
    next_attempt(job, step=2)
    write_run_file(job, "metrics.jsonl", metrics_line(3, a=2.0))
    watching_run.watch(job)
    assert steps_of(job, "a") == {1: 1.0, 2: 1.0, 3: 2.0}
    assert Series.objects.get(job=job, name="a").last_step == 3


def test_a_restarted_watcher_removes_nothing_that_the_attempt_wrote(job: Job) -> None:
    next_attempt(job, step=2)
    write_run_file(job, "metrics.jsonl", metrics_line(3, a=2.0))
    watching_run.watch(job)
    watching_run.watch(Job.objects.get(pk=job.pk))
    assert steps_of(job, "a") == {3: 2.0}


def test_a_run_near_its_limit_saves_and_pauses(job: Job) -> None:
    began = timezone.now() - timedelta(seconds=560)
    Job.objects.filter(pk=job.pk).update(max_seconds=600, started_at=began)
    job.refresh_from_db()
    watching_run.watch(job)
    assert job.pause_asked_at is not None
    asked = job.events.get(kind="pause asked")
    assert asked.message == "Its limit of 0:10:00 is near: it saves and pauses."
    assert asked.who == ""


def test_a_slow_save_is_begun_earlier(job: Job) -> None:
    began = timezone.now() - timedelta(seconds=400)
    Job.objects.filter(pk=job.pk).update(max_seconds=600, started_at=began)
    job.refresh_from_db()
    watching_run.watch(job)
    assert job.pause_asked_at is None
    write_run_file(job, "metrics.jsonl", metrics_line(1, timing_s__save_checkpoint=110.0))
    watching_run.watch(job)
    assert job.pause_asked_at is not None


def test_earlier_attempts_count_and_what_does_not_pause_is_stopped(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(max_seconds=600, seconds_before=601)
    job.refresh_from_db()
    watching_run.watch(job)
    assert job.stop_asked_at is not None
    assert [event.kind for event in job.events.all()] == ["limit", "stop asked"]
    watching_run.watch(job)
    assert job.events.count() == 2
