import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.models import Job
from tests import factories
from tests.pages import asks_for_login, refuses_other_methods


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, name="old")


def url(job: Job) -> str:
    return f"/jobs/{job.pk}/rename/"


@pytest.mark.parametrize("name", ["new", "x'; touch pwned #", "../../up", "<b>", "größe 🚂"])
def test_a_name_is_kept_as_written(page: Client, job: Job, name: str) -> None:
    assert page.post(url(job), {"name": name}).status_code == 302
    job.refresh_from_db()
    assert job.name == name
    assert [(e.kind, e.who, e.message) for e in job.events.all()] == [
        ("renamed", "ada", "from old")
    ]


def test_a_new_name_does_not_change_the_run_directory(page: Client, job: Job) -> None:
    before = job.run_dir
    page.post(url(job), {"name": "../../up"})
    job.refresh_from_db()
    assert job.run_dir == before


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "two\nlines", "\x00"])
def test_an_invalid_name_is_told_and_changes_nothing(page: Client, job: Job, name: str) -> None:
    response = page.post(url(job), {"name": name}, follow=True)
    assert response.status_code == 200
    assert len(list(response.context["messages"])) == 1
    job.refresh_from_db()
    assert (job.name, job.events.count()) == ("old", 0)


def test_someone_elses(page: Client, other: User) -> None:
    job = factories.make_job(other, name="old")
    assert page.post(url(job), {"name": "new"}).status_code == 404
    job.refresh_from_db()
    assert job.name == "old"


def test_anonymous(job: Job) -> None:
    assert asks_for_login(url(job), "post")


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "post")
