import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from compute.runners.base import Launch, RunnerError
from compute.runners.local.runner import LocalRunner
from jobs.launch import start
from jobs.models import Job, Status
from tests import factories, taskqueue
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, name="a <run>", status="running")


def url(job: Job) -> str:
    return f"/jobs/{job.pk}/stop/"


def test_it_asks_first(page: Client, job: Job) -> None:
    response = page.get(url(job))
    assert response.status_code == 200
    assert b"a &lt;run&gt;" in response.content
    assert f'action="{url(job)}"'.encode() in response.content
    job.refresh_from_db()
    assert job.stop_asked_at is None


def test_a_running_job_is_asked_to_stop(
    page: Client, job: Job, django_capture_on_commit_callbacks: OnCommit
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = page.post(url(job))
    assert (response.status_code, response.headers["Location"]) == (302, f"/jobs/{job.pk}/")
    job.refresh_from_db()
    assert job.stop_asked_at is not None
    assert taskqueue.take_all() == [("jobs.tasks.stop_run", (job.pk,))]
    assert job.events.get().who == "ada"


def test_a_queued_job_is_stopped_at_once(page: Client, user: User) -> None:
    job = factories.make_job(user, status="queued")
    page.post(url(job))
    job.refresh_from_db()
    assert job.status == "stopped"


def test_too_late_changes_nothing(page: Client, user: User) -> None:
    job = factories.make_job(user, status="completed")
    assert page.post(url(job)).status_code == 302
    job.refresh_from_db()
    assert job.status == "completed"


def test_someone_elses(page: Client, other: User) -> None:
    job = factories.make_job(other, status="running")
    assert page.get(url(job)).status_code == 404
    assert page.post(url(job)).status_code == 404
    job.refresh_from_db()
    assert job.stop_asked_at is None


def test_anonymous(job: Job) -> None:
    assert asks_for_login(url(job))
    assert asks_for_login(url(job), "post")
    job.refresh_from_db()
    assert job.stop_asked_at is None


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "get", "post")


def test_what_was_stopped_while_it_waited_to_begin_did_not_fail(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a cluster that had no room for it yet: that it did not begin is what was asked for."""
    job = factories.make_job(user, status=Status.QUEUED, queued_at=timezone.now())

    def launch(self: LocalRunner, launch: Launch) -> None:
        Job.objects.filter(pk=job.pk).update(stop_asked_at=timezone.now())
        raise RunnerError("The job ended before the run began: STOPPED")

    monkeypatch.setattr(LocalRunner, "launch", launch)
    start.launch_queued(job.machine_id)
    job.refresh_from_db()
    assert (job.status, job.reason) == (Status.STOPPED, "Stopped before it started.")
