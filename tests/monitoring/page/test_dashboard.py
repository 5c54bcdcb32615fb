from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from compute.models import MachineSample
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

URL = "/"
SAMPLE = {
    "cpu_percent": 42.0,
    "memory_used": 1 << 30,
    "memory_total": 4 << 30,
    "disk_used": 1 << 30,
    "disk_total": 8 << 30,
    "gpus": [],
}


def test_running_queued_and_ended_jobs_of_ones_own(page: Client, user: User, other: User) -> None:
    for status in ("running", "queued", "completed", "draft"):
        factories.make_job(user, name=f"my {status}", status=status, queued_at=timezone.now())
    factories.make_job(other, name="theirs", status="running")
    response = page.get(URL)
    assert response.status_code == 200
    assert b'id="board"' in response.content
    assert b'ws-connect="/ws/overview/"' in response.content
    for status in ("running", "queued", "completed"):
        assert f"my {status}".encode() in response.content
    assert b"my draft" not in response.content
    assert b"theirs" not in response.content


def test_nothing_yet(page: Client) -> None:
    response = page.get(URL)
    assert response.status_code == 200
    assert b'href="/jobs/new/"' in response.content


def test_the_load_that_was_measured(page: Client) -> None:
    machine = factories.make_machine(name="a box")
    MachineSample.objects.create(machine=machine, at=timezone.now(), data=SAMPLE)
    assert b"42 %" in page.get(URL).content


@pytest.mark.parametrize("data", [{}, {"cpu_percent": None}, {"cpu_percent": "much", "gpus": []}])
def test_a_load_without_figures(page: Client, data: dict[str, object]) -> None:
    machine = factories.make_machine(name="a box")
    for age, told in ((5, SAMPLE), (0, data)):
        at = timezone.now() - timedelta(seconds=age)
        MachineSample.objects.create(machine=machine, at=at, data=told)
    for url in (URL, "/machines/", f"/machines/{machine.pk}/"):
        response = page.get(url)
        assert response.status_code == 200
        assert b"a box" in response.content


def test_a_load_that_is_old_is_not_shown(page: Client) -> None:
    machine = factories.make_machine(name="a box")
    then = timezone.now() - timedelta(seconds=31)
    MachineSample.objects.create(machine=machine, at=then, data=SAMPLE)
    content = page.get(URL).content
    assert b"a box" in content
    assert b"42 %" not in content


def test_failures_of_today_are_counted_beside_the_menu(page: Client, user: User) -> None:
    factories.make_job(user, status="failed", ended_at=timezone.now())
    old = timezone.now() - timedelta(days=2)
    factories.make_job(user, status="lost", ended_at=old)
    factories.make_job(user, status="running")
    rail = page.get(URL).context["rail"]
    assert rail == {"active": 1, "attention": 1}


@pytest.mark.parametrize("status", ["running", "completed"])
def test_takes_the_same_queries_for_one_row_and_three(
    page: Client, user: User, status: str
) -> None:
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            first = factories.make_job(user, status=status, started_at=timezone.now())
            factories.make_job(user, status=status, after=first, ended_at=timezone.now())
        counts.append(queries(page, URL))
    assert counts[0] == counts[1]


def test_takes_the_same_queries_for_one_queued_job_and_three(page: Client, user: User) -> None:
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            factories.make_job(user, status="queued", queued_at=timezone.now())
        counts.append(queries(page, URL))
    assert counts[0] == counts[1]


def test_anonymous(db: None) -> None:
    assert asks_for_login(URL)


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, URL, "get")
