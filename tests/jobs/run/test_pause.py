"""The buttons Pause and Save now, and "Save, then stop"."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.models import Job
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, name="a <run>", status="running", started_at=timezone.now())


def url(job: Job, what: str = "pause") -> str:
    return f"/jobs/{job.pk}/{what}/"


def test_a_running_job_is_asked_to_pause(page: Client, job: Job) -> None:
    response = page.post(url(job), follow=True)
    job.refresh_from_db()
    assert job.pause_asked_at is not None
    assert job.events.get().who == "ada"
    text = response.content.decode()
    assert "It saves after the current step." in text
    assert 'id="pause-button"' not in text
    assert 'id="stop-button"' in text  # the way out when it takes too long


def test_save_now(page: Client, job: Job) -> None:
    response = page.post(url(job, "save"), follow=True)
    assert b"It saves a checkpoint after this step, and goes on." in response.content
    job.refresh_from_db()
    assert job.pause_asked_at is None
    assert [event.kind for event in job.events.all()] == ["save asked"]


def test_save_then_stop(page: Client, job: Job) -> None:
    assert b"Save, then stop" in page.get(url(job, "stop")).content
    page.post(url(job, "stop"), {"save": "1"})
    job.refresh_from_db()
    assert (job.then_stop, job.stop_asked_at) == (True, None)
    assert job.pause_asked_at is not None


def test_a_run_that_cannot_save_says_why(page: Client, user: User) -> None:
    spec = factories.spec_of("grpo", verl="0.8.0").to_json()
    job = factories.make_job(user, kind="grpo", spec=spec, status="running")
    assert b'id="pause-button"' not in page.get(job.get_absolute_url()).content
    for what in ("pause", "save"):
        response = page.post(url(job, what), follow=True)
        assert b"pausing needs verl 0.9.1" in response.content
    assert b"Save, then stop" not in page.get(url(job, "stop")).content
    job.refresh_from_db()
    assert job.pause_asked_at is None


def test_too_late_changes_nothing(page: Client, user: User) -> None:
    job = factories.make_job(user, status="completed")
    response = page.post(url(job), follow=True)
    assert b"It is completed." in response.content
    job.refresh_from_db()
    assert job.pause_asked_at is None


def test_someone_elses(page: Client, other: User) -> None:
    job = factories.make_job(other, status="running")
    assert page.post(url(job)).status_code == 404
    assert page.post(url(job, "save")).status_code == 404


def test_anonymous(job: Job) -> None:
    assert asks_for_login(url(job), "post")
    assert asks_for_login(url(job, "save"), "post")


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "post")
    assert refuses_other_methods(page, url(job, "save"), "post")
