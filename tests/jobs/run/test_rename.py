import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.colours import colour_of
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
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_an_invalid_name_is_told_and_changes_nothing(
    page: Client, job: Job, name: str, headers: dict[str, str]
) -> None:
    response = page.post(url(job), {"name": name}, headers=headers)
    assert response.status_code == 422
    assert response.context["wrong"]
    assert response.context["typed"] == name
    content = response.content.decode()
    assert ("<h1>" in content) != bool(headers)
    assert 'aria-invalid="true"' in content
    job.refresh_from_db()
    assert (job.name, job.events.count()) == ("old", 0)


@pytest.mark.parametrize("is_head", [False, True])
def test_the_form_stands_in_the_place_of_the_name(page: Client, job: Job, is_head: bool) -> None:
    asked, htmx = {"head": "1"} if is_head else {}, {"HX-Request": "true"}
    place = f'id="name-{job.pk}"'
    form = page.get(url(job), asked, headers=htmx).content.decode()
    assert place in form
    assert 'value="old"' in form
    assert "<html" not in form
    kept = page.get(url(job), {**asked, "kept": "1"}, headers=htmx).content.decode()
    assert place in kept
    assert "<form" not in kept
    assert ("<h1>" in kept) == is_head
    response = page.post(url(job), {**asked, "name": "<b>"}, headers=htmx)
    content = response.content.decode()
    assert response.status_code == 200
    assert place in content
    assert "&lt;b&gt;" in content
    assert ("crumb-name" in content) == is_head
    assert "<html" in page.get(url(job), asked).content.decode()


def test_the_list_has_the_colour_of_a_comparison(page: Client, job: Job) -> None:
    line = f'<span class="run-line" data-colour="{colour_of(job.pk)}"'
    assert line in page.get("/jobs/").content.decode()


def test_someone_elses(page: Client, other: User) -> None:
    job = factories.make_job(other, name="old")
    assert page.post(url(job), {"name": "new"}).status_code == 404
    assert page.get(url(job)).status_code == 404
    job.refresh_from_db()
    assert job.name == "old"


def test_anonymous(job: Job) -> None:
    assert asks_for_login(url(job), "post")


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "get", "post")
