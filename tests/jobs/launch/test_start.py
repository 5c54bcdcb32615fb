import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from jobs.models import Job
from tests import factories, taskqueue
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user)


def url(job: Job) -> str:
    return f"/jobs/{job.pk}/start/"


def test_a_draft_is_queued(
    page: Client, job: Job, django_capture_on_commit_callbacks: OnCommit
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = page.post(url(job))
    assert (response.status_code, response.headers["Location"]) == (302, f"/jobs/{job.pk}/")
    job.refresh_from_db()
    assert job.status == "queued"
    assert [(event.kind, event.who) for event in job.events.all()] == [("queued", "ada")]
    assert taskqueue.size() == 1


def test_pressed_twice_is_queued_once(page: Client, job: Job) -> None:
    assert [page.post(url(job)).status_code for _ in range(2)] == [302, 302]
    assert job.events.count() == 1


def test_what_has_ended_is_not_started_again(page: Client, user: User) -> None:
    job = factories.make_job(user, status="completed")
    assert page.post(url(job)).status_code == 302
    job.refresh_from_db()
    assert job.status == "completed"


def test_someone_elses(page: Client, other: User) -> None:
    job = factories.make_job(other)
    assert page.post(url(job)).status_code == 404
    assert job.events.count() == 0


def test_staff(client: Client, staff: User, job: Job) -> None:
    client.force_login(staff)
    client.post(url(job))
    assert job.events.get().who == "root"


def test_anonymous(job: Job) -> None:
    assert asks_for_login(url(job), "post")
    assert job.events.count() == 0


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "post")
