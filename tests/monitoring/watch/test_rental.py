"""A run on a rented machine: it saves and pauses before the rental ends, or says that it cannot."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from compute.models import Machine, when
from jobs.models import Job, Status
from monitoring.watch import watching_run
from monitoring.watch.watching_machine import MachineWatcher
from tests import factories
from tests.factories import append_run_file, metrics_line, write_run_file

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status=Status.RUNNING, started_at=timezone.now(), steps=6)
    write_run_file(job, "heartbeat", f"{time.time():.3f}\n")
    return job


def ends(job: Job, **left: float) -> str:
    at = timezone.now() + timedelta(**left)
    Machine.objects.filter(pk=job.machine_id).update(rental_ends_at=at)
    return when(at)


def watch(job: Job) -> Job:
    job = Job.objects.select_related("machine").get(pk=job.pk)
    watching_run.watch(job)
    return job


def old_release(job: Job) -> str:
    """Make it a run of a release that cannot be asked to save; why it cannot."""
    Job.objects.filter(pk=job.pk).update(spec=factories.spec_of("sft", verl="0.8.0").to_json())
    job.refresh_from_db()
    return job.cannot_save


def test_far_from_its_end_nothing_is_asked(job: Job) -> None:
    assert watch(job).pause_asked_at is None
    ends(job, hours=2)
    assert watch(job).pause_asked_at is None


def test_with_nothing_measured_it_pauses_by_an_estimate_that_says_so(job: Job) -> None:
    ends(job, seconds=320)
    assert watch(job).pause_asked_at is None
    at = ends(job, seconds=290)
    assert watch(job).pause_asked_at is not None
    asked = job.events.get(kind="pause asked")
    assert (asked.who, asked.message) == (
        "",
        f"The rental of {job.machine} ends at {at}: it saves and pauses. No step and no save of it "
        "was measured yet: 300 s are an estimate.",
    )
    watch(job)
    assert job.events.count() == 1


def test_a_slow_save_that_was_measured_begins_earlier(job: Job) -> None:
    ends(job, seconds=700)
    assert watch(job).pause_asked_at is None
    write_run_file(job, "metrics.jsonl", metrics_line(1, timing_s__save_checkpoint=400.0))
    assert watch(job).pause_asked_at is not None
    assert "No step of it was measured yet: 800 s" in job.events.get(kind="pause asked").message


def test_a_quick_one_goes_on_to_the_last_minute(job: Job) -> None:
    began = timezone.now() - timedelta(seconds=30)
    Job.objects.filter(pk=job.pk).update(step=4, anchor_step=1, anchor_at=began)
    Job.objects.filter(pk=job.pk).update(step_at=began + timedelta(seconds=3))
    write_run_file(job, "metrics.jsonl", metrics_line(4, timing_s__save_checkpoint=2.0))
    ends(job, seconds=75)
    assert watch(job).pause_asked_at is None
    ends(job, seconds=55)
    assert watch(job).pause_asked_at is not None
    asked = job.events.get(kind="pause asked")
    assert asked.message.endswith("60 s are needed, by its measured steps and saves.")


def test_an_end_that_is_moved_counts_at_once(job: Job) -> None:
    ends(job, seconds=10)
    ends(job, hours=5)
    assert watch(job).pause_asked_at is None
    Machine.objects.filter(pk=job.machine_id).update(rental_ends_at=None)
    assert watch(job).pause_asked_at is None
    at = ends(job, seconds=-10)
    assert watch(job).pause_asked_at is not None
    assert f"ended at {at}: it saves" in job.events.get(kind="pause asked").message


def test_what_cannot_save_is_told_of_once_for_each_end(page: Client, job: Job) -> None:
    why = old_release(job)
    assert why
    ends(job, hours=3)
    assert why in page.get(f"/jobs/{job.pk}/").content.decode()
    watch(job)
    assert job.events.count() == 0
    at = ends(job, minutes=50)
    revision = job.revision
    for _ in range(3):
        watch(job)
    told = job.events.get()
    assert (told.kind, told.message) == (
        "rental", f"The rental of {job.machine} ends at {at}. This run cannot save before it: {why}"
    )  # fmt: skip
    job.refresh_from_db()
    assert job.pause_asked_at is None
    assert job.revision > revision, "open pages see it"
    ends(job, minutes=55)
    watch(job)
    assert job.events.count() == 2


def test_a_run_that_is_asked_to_stop_is_left_alone(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(stop_asked_at=timezone.now())
    ends(job, seconds=10)
    assert watch(job).pause_asked_at is None


def test_it_pauses_and_goes_on_when_the_rental_is_extended(page: Client, job: Job) -> None:
    ends(job, seconds=100)
    watch(job)
    write_run_file(job, "metrics.jsonl", metrics_line(1) + metrics_line(2))
    paused = '{"at": 1.5, "kind": "paused", "message": "paused after step 2", "step": 2}\n'
    write_run_file(job, "events.jsonl", paused)
    write_run_file(job, "exit_code", "0\n")
    assert watch(job).status == Status.PAUSED
    ends(job, seconds=-10)
    content = page.get(f"/jobs/{job.pk}/").content.decode()
    assert "Extend it to go on there, or <a" in content
    assert f"/jobs/{job.pk}/clone/" in content
    resume = page.get(f"/jobs/{job.pk}/resume/").content.decode()
    assert "It would wait until the rental is extended" in resume
    response = page.post(f"/jobs/{job.pk}/resume/", {"step": ""}, follow=True)
    assert "It waits until the rental is extended." in response.content.decode()
    assert f"The rental of {job.machine} ended at" in response.content.decode()


def test_the_page_says_when_it_ends(page: Client, job: Job) -> None:
    assert "The rental of" not in page.get(f"/jobs/{job.pk}/").content.decode()
    ends(job, hours=2, minutes=3, seconds=30)
    content = " ".join(page.get(f"/jobs/{job.pk}/").content.decode().split())
    assert f"The rental of {job.machine} ends <time" in content
    assert ">in 2 h 03 m</time>. The run saves and pauses before it." in content
    Job.objects.filter(pk=job.pk).update(status=Status.COMPLETED)
    assert "The rental of" not in page.get(f"/jobs/{job.pk}/").content.decode()


def test_the_watcher_tells_of_the_end_and_shows_another_one(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmeasured(machine: Machine) -> Any:
        return None

    monkeypatch.setattr("monitoring.watch.watching_machine.record_sample", unmeasured)
    watcher = MachineWatcher(job.machine)

    def look() -> int:
        watcher.look(Machine.objects.get(pk=job.machine_id))
        job.refresh_from_db()
        return job.revision

    first = look()
    assert look() == first
    ends(job, hours=5)
    second = look()
    assert second > first
    assert look() == second
    ends(job, minutes=50)
    assert look() > second
    look()
    MachineWatcher(job.machine).look(Machine.objects.get(pk=job.machine_id))  # a restarted watcher
    assert [event.kind for event in job.machine.events.all()] == ["rental near"]
    ends(job, seconds=-1)
    look()
    assert [event.kind for event in job.machine.events.all()] == ["rental near", "rental over"]


def test_a_page_says_that_the_machine_was_taken_away(page: Client, user: User) -> None:
    machine = factories.make_ssh_machine(
        name="box", unreachable_since=timezone.now(), unreachable_reason="No route."
    )
    job = factories.make_job(user, machine=machine, status=Status.RUNNING)
    at = ends(job, minutes=-1)
    content = page.get(f"/jobs/{job.pk}/").content.decode()
    assert f"Its rental ended at {at}. No route." in content


def test_two_metrics_lines_are_read_as_before(job: Job) -> None:
    """The rental must not keep what a run wrote from being read."""
    ends(job, seconds=10)
    write_run_file(job, "metrics.jsonl", metrics_line(1))
    append_run_file(job, "metrics.jsonl", metrics_line(2))
    assert watch(job).step == 2
