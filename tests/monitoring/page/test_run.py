import json
import time

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs import lifecycle
from jobs.models import Job
from monitoring.watch import watching_run
from tests import factories
from tests.factories import append_run_file, metrics_line, write_run_file
from tests.pages import asks_for_login, queries, refuses_other_methods


@pytest.fixture
def job(user: User) -> Job:
    """A job that runs: two steps, a log, an event, a sample and a checkpoint."""
    job = factories.make_job(
        user, name="a <run>", status="running", started_at=timezone.now(), is_sample=True
    )
    write_run_file(job, "heartbeat", f"{time.time()}")
    write_run_file(job, "train.log", "first line\r50%\n<b>second</b>\n")
    write_run_file(job, "metrics.jsonl", metrics_line(1, train__loss=0.5) + metrics_line(2))
    told = '{"at": 1, "kind": "started", "message": "pid 7"}\n{"at": 2, "kind": "checkpoint"}\n'
    write_run_file(job, "events.jsonl", told)
    write_run_file(job, "system.jsonl", '{"at": 1, "cpu_percent": 42, "gpus": []}\n')
    write_run_file(job, "checkpoints/global_step_2/model.pt", "123")
    watching_run.watch(job)
    return job


def url(job: Job) -> str:
    return f"/jobs/{job.pk}/"


def test_it_shows_the_last_state(page: Client, job: Job) -> None:
    response = page.get(url(job))
    assert response.status_code == 200
    text = response.content.decode()
    assert f'data-revision="{job.revision}"' in text
    assert 'data-log="29"' in text
    assert f'ws-connect="/ws/jobs/{job.pk}/"' in text
    assert "a &lt;run&gt;" in text
    assert "first line&#13;50%" in text
    assert "&lt;b&gt;second&lt;/b&gt;" in text
    assert "train/loss" in text
    assert "pid 7" in text
    assert "global_step_2" in text
    assert "42 %" in text
    assert f"/jobs/{job.pk}/run.sh" in text
    assert "optim.lr" in text


@pytest.mark.parametrize("part", ["header", "figures", "system", "events", "checkpoints"])
def test_it_has_every_part_that_the_websocket_replaces(page: Client, job: Job, part: str) -> None:
    assert f'id="run-{part}"'.encode() in page.get(url(job)).content


@pytest.mark.parametrize(
    ("status", "is_live"),
    [("draft", False), ("queued", True), ("starting", True), ("running", True), ("failed", False)],
)
def test_only_what_may_change_is_live(page: Client, user: User, status: str, is_live: bool) -> None:
    job = factories.make_job(user, status=status, queued_at=timezone.now())
    response = page.get(url(job))
    assert response.status_code == 200
    assert (b"ws-connect" in response.content) is is_live


def test_an_ended_job_tells_why(page: Client, user: User) -> None:
    job = factories.make_job(
        user, status="lost", reason="Its processes are gone.", ended_at=timezone.now()
    )
    assert b"Its processes are gone." in page.get(url(job)).content


def test_a_run_directory_that_is_gone_is_told(page: Client, user: User) -> None:
    job = factories.make_job(user, status="completed", started_at=timezone.now())
    content = page.get(url(job)).content.decode()
    assert f"The run directory {job.run_dir} is not there." in content


def test_a_job_of_a_recipe_that_is_gone(page: Client, user: User) -> None:
    job = factories.make_job(user, recipe="gone")
    assert page.get(url(job)).status_code == 200


def test_staff_sees_it(client: Client, staff: User, job: Job) -> None:
    client.force_login(staff)
    assert client.get(url(job)).status_code == 200


def test_someone_elses(page: Client, other: User) -> None:
    assert page.get(url(factories.make_job(other))).status_code == 404


def test_takes_the_same_queries_for_one_row_and_three(page: Client, job: Job) -> None:
    one = queries(page, url(job))
    for name in "bc":
        job.events.create(at=timezone.now(), kind=name)
        job.series.create(name=name)
    factories.keep_checkpoints(job, {2: 3, 4: 3, 6: 3})
    assert queries(page, url(job)) == one


def test_anonymous(job: Job) -> None:
    assert asks_for_login(url(job))


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "get")


def test_a_silent_run_says_what_its_machine_says_of_it(page: Client, user: User) -> None:
    given = {"status": "starting", "started_at": timezone.now(), "silent_since": timezone.now()}
    job = factories.make_job(user, **given)
    for why in ("A process lives.", "Ray has not begun it: no room yet."):
        lifecycle.record(job, "silent", message=why)
    header = page.get(url(job)).content.decode().split('id="run-events"')[0]
    assert "Silent since" in header
    assert "Ray has not begun it: no room yet." in header
    assert "A process lives." not in header


def test_what_was_cut_stands_at_the_top(page: Client, job: Job) -> None:
    line = {"at": 5, "kind": "answers_cut", "message": "Up to step 1, 4 of 8 were cut.", "total": 4}
    append_run_file(job, "events.jsonl", json.dumps(line) + "\n")
    watching_run.watch(job)
    header = page.get(url(job)).content.decode().split('id="run-events"')[0]
    assert "Cut: Up to step 1, 4 of 8 were cut." in header


def test_answers_that_failed_stand_at_the_top(page: Client, job: Job) -> None:
    for at, message in enumerate(["Step 1: 4 of 8 <answers> failed.", "Step 2: 3 of 8 failed."]):
        line = {"at": 5 + at, "kind": "answers_lost", "message": message, "total": 4}
        append_run_file(job, "events.jsonl", json.dumps(line) + "\n")
    watching_run.watch(job)
    header = page.get(url(job)).content.decode().split('id="run-events"')[0]
    assert "Step 2: 3 of 8 failed." in header
    assert "Step 1: 4 of 8" not in header
    Job.objects.update(attempt=2)
    header = page.get(url(job)).content.decode().split('id="run-events"')[0]
    assert "of 8 failed" not in header
