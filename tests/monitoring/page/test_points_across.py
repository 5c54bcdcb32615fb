"""One metric of many runs, as a page that lays them over one another asks for it."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.models import Job
from monitoring.store import points
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

URL = "/points/"
pytestmark = pytest.mark.backends


@pytest.fixture
def jobs(user: User) -> list[Job]:
    made = [factories.make_job(user) for _ in range(3)]
    for at, job in enumerate(made[:2]):
        factories.add_points(job, "a", {1: float(at), 2: float("nan")})
        factories.add_points(job, "b", {1: 9.0})
    return made


def ask(page: Client, jobs: list[Job], *more: str) -> dict[str, Any]:
    query = "&".join(["name=a", *(f"job={job.pk}" for job in jobs), *more])
    response = page.get(f"{URL}?{query}")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()["runs"]
    return found


def test_all_points_of_each_run(page: Client, jobs: list[Job]) -> None:
    first, second, third = (str(job.pk) for job in jobs)
    assert ask(page, jobs) == {
        first: {"number": 2, "anew": True, "points": [[1, 0.0], [2, "nan"]]},
        second: {"number": 2, "anew": True, "points": [[1, 1.0], [2, "nan"]]},
        third: {"number": 0, "anew": True, "points": []},
    }


def test_later_only_what_is_new(page: Client, jobs: list[Job]) -> None:
    seen = [f"seen={pk}:{number}" for pk, number in points.position(jobs).items()]
    assert ask(page, jobs, *seen) == {}
    factories.add_points(jobs[0], "a", {3: 5.0})
    factories.add_points(jobs[1], "b", {3: 5.0})
    factories.add_points(jobs[2], "a", {1: 7.0})
    first, second, third = (str(job.pk) for job in jobs)
    assert ask(page, jobs, *seen) == {
        first: {"number": 3, "anew": False, "points": [[3, 5.0]]},
        second: {"number": 3, "anew": False, "points": []},
        third: {"number": 1, "anew": False, "points": [[1, 7.0]]},
    }


def test_a_run_that_went_back_is_read_anew(page: Client, jobs: list[Job]) -> None:
    points.rewind(jobs[0], 1)
    found = ask(page, jobs[:1], f"seen={jobs[0].pk}:2")
    assert found == {str(jobs[0].pk): {"number": 3, "anew": True, "points": [[1, 0.0]]}}


def test_thinned_to_the_pixels(page: Client, jobs: list[Job]) -> None:
    factories.add_points(jobs[2], "a", {step: float(step == 700) for step in range(1000)})
    [found] = ask(page, jobs[2:], "width=100").values()
    assert len(found["points"]) <= 202
    assert [700, 1.0] in found["points"]


@pytest.mark.parametrize("junk", ["seen=x", "seen=1:", "seen=:1", f"seen=1:{9**40}", "job=x"])
def test_junk_is_left_out(page: Client, jobs: list[Job], junk: str) -> None:
    assert len(ask(page, jobs, junk)) == 3


@pytest.mark.parametrize("query", ["width=0", "width=x", "low=-1"])
def test_a_chart_that_cannot_be(page: Client, query: str) -> None:
    assert page.get(f"{URL}?{query}").status_code == 422


def test_takes_the_same_queries_for_one_run_and_three(page: Client, jobs: list[Job]) -> None:
    def url(some: list[Job]) -> str:
        of = "&".join(f"job={job.pk}&seen={job.pk}:1" for job in some)
        return f"{URL}?name=a&{of}"

    for job in jobs:
        factories.add_points(job, "a", {5: 1.0})
        factories.add_points(job, "a", {6: 1.0})
    assert queries(page, url(jobs[:1])) == queries(page, url(jobs))


def test_someone_elses_run_is_left_out(page: Client, other: User) -> None:
    assert ask(page, [factories.make_job(other)]) == {}


def test_points_across_runs_want_a_login() -> None:
    assert asks_for_login(URL)


def test_points_across_runs_are_only_read(page: Client) -> None:
    assert refuses_other_methods(page, URL, "get")
