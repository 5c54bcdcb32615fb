import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs import lifecycle
from jobs.models import Job
from monitoring.page import live
from tests import factories
from tests.factories import write_run_file
from tests.pages import asks_for_login, queries, refuses_other_methods


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, name="a <run>", status="failed", ended_at=timezone.now())
    write_run_file(job, "train.log", "first\n<b>Error</b>: größe\nlast\n")
    lifecycle.record(job, "own error", message="Error", line=6)
    return job


def url(job: Job, at: int = 6) -> str:
    return f"/jobs/{job.pk}/log/{at}/"


def test_the_page_of_a_failed_run_links_to_the_line(page: Client, job: Job) -> None:
    link = f'<a href="{url(job)}#line">Where your code failed, in the log</a>'
    assert link in page.get(f"/jobs/{job.pk}/").content.decode()


def test_the_link_is_of_the_attempt_that_is_shown(page: Client, job: Job) -> None:
    Job.objects.update(attempt=2)
    assert b"Where your code failed" not in page.get(f"/jobs/{job.pk}/").content


def test_it_marks_the_line_in_which_the_byte_lies(page: Client, job: Job) -> None:
    for at in (6, 10, 27):
        text = page.get(url(job, at)).content.decode()
        assert 'first\n<mark id="line">&lt;b&gt;Error&lt;/b&gt;: größe\n</mark>last\n' in text


@pytest.mark.parametrize("at", [33, 10**6, 10**30])
def test_a_byte_that_is_not_there(page: Client, job: Job, at: int) -> None:
    response = page.get(url(job, at))
    assert response.status_code == 200
    assert b"The log does not reach so far." in response.content


def test_of_a_long_log_only_what_is_near_is_shown(job: Job) -> None:
    lines = [f"line {at:07}\n" for at in range(20_000)]
    write_run_file(job, "train.log", "".join(lines))
    found = live.log_around(job, 13 * 10_000 + 5)
    assert found is not None
    assert found.text == "line 0010000\n"
    assert found.before.startswith("line ")
    assert found.before.endswith("line 0009999\n")
    assert found.after.startswith("line 0010001\n")
    assert len(found.before) + len(found.after) < 2 * live.LOG_TAIL


def test_htmx_gets_the_same(page: Client, job: Job) -> None:
    assert page.get(url(job), headers={"HX-Request": "true"}).status_code == 200


def test_takes_the_same_queries_for_one_row_and_three(page: Client, job: Job) -> None:
    one = queries(page, url(job))
    for _ in range(2):
        lifecycle.record(job, "own error", line=0)
    assert queries(page, url(job)) == one


def test_someone_elses(page: Client, other: User) -> None:
    assert page.get(url(factories.make_job(other))).status_code == 404


def test_anonymous(job: Job) -> None:
    assert asks_for_login(url(job))


def test_wrong_method(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "get")
