"""The question before a job goes on: from which checkpoint?"""

import io
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from jobs.checkpoints import list_checkpoints
from jobs.models import Artifact, Job
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, name="a <run>", status="paused", started_at=timezone.now())
    for step in (10, 20, 30):
        factories.write_run_file(job, f"checkpoints/global_step_{step}/model.pt", b"x")
    factories.write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", "20")
    list_checkpoints(job)
    return job


def url(job: Job) -> str:
    return f"/jobs/{job.pk}/resume/"


def test_it_offers_what_is_complete(page: Client, job: Job) -> None:
    text = page.get(url(job)).content.decode()
    assert "a &lt;run&gt;" in text
    assert "Step 20" in text
    assert "Step 10" in text
    assert "Step 30" not in text  # its saving was cut off
    assert "as attempt 2" in text


@pytest.mark.parametrize(
    ("given", "step"),
    [({}, None), ({"step": ""}, None), ({"step": "10"}, 10), ({"step": "0"}, 0)],
)
def test_it_is_queued_again(
    page: Client, job: Job, given: dict[str, str], step: int | None
) -> None:
    response = page.post(url(job), given)
    assert (response.status_code, response.headers["Location"]) == (302, f"/jobs/{job.pk}/")
    job.refresh_from_db()
    assert (job.status, job.attempt, job.resume_step) == ("queued", 2, step)
    assert job.events.get().who == "ada"


@pytest.mark.parametrize("step", ["30", "11", "x", "-1", "10\0"])
def test_a_step_that_is_not_there(page: Client, job: Job, step: str) -> None:
    response = page.post(url(job), {"step": step})
    assert response.status_code == 422
    assert b"is not one of the available choices" in response.content
    job.refresh_from_db()
    assert (job.status, job.attempt) == ("paused", 1)


def test_where_none_is_whole_it_asks_and_says_why(page: Client, job: Job) -> None:
    Artifact.objects.update(is_whole=False, fault="It is <cut> short.")
    text = page.get(url(job)).content.decode()
    assert "None of its checkpoints is known to be whole." in text
    assert "Step 20: It is &lt;cut&gt; short." in text
    assert "The beginning: no checkpoint is used" in text
    assert "No checkpoint was saved" not in text


def test_the_command_begins_anew(job: Job, staff: User) -> None:
    call_command("resume", job.pk, "--from", "0", stdout=io.StringIO())
    job.refresh_from_db()
    assert (job.status, job.resume_step) == ("queued", 0)


def test_without_checkpoints_it_says_that_it_begins_again(page: Client, user: User) -> None:
    job = factories.make_job(user, status="failed", started_at=timezone.now())
    assert b"begins again at its first step" in page.get(url(job)).content


def test_what_runs_or_is_complete_cannot_go_on(page: Client, user: User) -> None:
    for status in ("running", "completed", "draft"):
        job = factories.make_job(user, status=status, started_at=timezone.now())
        assert b"can go on" in page.get(url(job)).content
        response = page.post(url(job), follow=True)
        assert b"was not resumed" in response.content
        job.refresh_from_db()
        assert (job.status, job.attempt) == (status, 1)


def test_a_run_directory_that_is_gone(page: Client, job: Job) -> None:
    Path(job.run_dir).rename(Path(job.run_dir).with_name("gone"))
    assert page.get(url(job)).status_code == 200


def test_the_page_of_a_paused_job_stays_live(page: Client, job: Job) -> None:
    text = page.get(job.get_absolute_url()).content.decode()
    assert 'id="resume-button"' in text
    assert "ws-connect" in text
    assert 'data-attempt="1"' in text


def test_someone_elses(page: Client, other: User) -> None:
    job = factories.make_job(other, status="paused", started_at=timezone.now())
    assert page.get(url(job)).status_code == 404
    assert page.post(url(job)).status_code == 404


def test_anonymous(job: Job) -> None:
    assert asks_for_login(url(job))
    assert asks_for_login(url(job), "post")


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "get", "post")
