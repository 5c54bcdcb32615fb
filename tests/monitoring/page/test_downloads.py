"""What the job's page fetches: points, system history and the log."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.test import Client

from jobs.models import Job
from tests import factories
from tests.factories import write_run_file
from tests.pages import asks_for_login, queries, refuses_other_methods

PARTS = ["points", "system", "log"]


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, status="running", revision=7)


def add_points(job: Job, name: str, *values: float) -> None:
    factories.add_points(job, name, dict(enumerate(values, 1)))


def test_points(page: Client, job: Job) -> None:
    add_points(job, "a", 0.5, float("inf"), float("nan"))
    add_points(job, "b", 1)
    response = page.get(f"/jobs/{job.pk}/points/?name=a&name=none")
    assert response.json() == {
        "number": 2,
        "series": {"a": [[1, 0.5], [2, "inf"], [3, "nan"]]},
        "better": {"a": ""},
        "thinned": {},
    }


def test_no_names_no_points(page: Client, job: Job) -> None:
    add_points(job, "a", 0.5)
    assert page.get(f"/jobs/{job.pk}/points/").json() == {
        "number": 1,
        "series": {},
        "better": {},
        "thinned": {},
    }


def test_points_take_the_same_queries_for_one_series_and_three(page: Client, job: Job) -> None:
    url = f"/jobs/{job.pk}/points/?name=a&name=b&name=c"
    add_points(job, "a", 1)
    one = queries(page, url)
    add_points(job, "b", 1, 2)
    add_points(job, "c", 1, 2)
    assert queries(page, url) == one


def test_system(page: Client, job: Job) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    job.system_samples.create(at=at, data={"cpu_percent": 5}, attempt=1, position=0)
    found = page.get(f"/jobs/{job.pk}/system/").json()
    assert found["at"] == [1767225600.0]
    assert found["cpu_percent"] == [5]
    assert found["memory_used"] == [None]
    assert found["gpu_util"] == {}


def test_the_whole_log_byte_for_byte(page: Client, job: Job) -> None:
    content = b"one\r50%\n\xff\xfe" + b"x" * 3_000_000
    write_run_file(job, "train.log", content)
    response = page.get(f"/jobs/{job.pk}/log/")
    assert isinstance(response, StreamingHttpResponse)
    assert b"".join(response) == content
    assert response.headers["Content-Disposition"] == f'attachment; filename="run-{job.pk}.log"'


def test_no_log_yet(page: Client, job: Job) -> None:
    response = page.get(f"/jobs/{job.pk}/log/")
    assert isinstance(response, StreamingHttpResponse)
    assert b"".join(response) == b""


@pytest.mark.parametrize("part", PARTS)
def test_someone_elses(page: Client, other: User, part: str) -> None:
    assert page.get(f"/jobs/{factories.make_job(other).pk}/{part}/").status_code == 404


@pytest.mark.parametrize("part", PARTS)
def test_anonymous(job: Job, part: str) -> None:
    assert asks_for_login(f"/jobs/{job.pk}/{part}/")


@pytest.mark.parametrize("part", PARTS)
def test_wrong_method(page: Client, job: Job, part: str) -> None:
    assert refuses_other_methods(page, f"/jobs/{job.pk}/{part}/", "get")
