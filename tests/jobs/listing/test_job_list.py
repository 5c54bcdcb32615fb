from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

URL = "/jobs/"


def names(content: bytes) -> list[str]:
    """Which of the jobs one, two and three are listed, in their order."""
    text = content.decode()
    found = {name: text.find(f">job {name}<") for name in ("one", "two", "three")}
    return sorted((name for name, at in found.items() if at >= 0), key=lambda name: found[name])


@pytest.fixture
def three(user: User) -> None:
    factories.make_job(user, name="job one", kind="sft", status="running")
    factories.make_job(user, name="job two", kind="grpo", status="failed")
    factories.make_job(user, name="job three", kind="sft", status="failed")


def test_lists_ones_own_jobs(page: Client, three: None, other: User) -> None:
    factories.make_job(other, name="not mine")
    response = page.get(URL)
    assert response.status_code == 200
    assert names(response.content) == ["three", "two", "one"]
    assert b"not mine" not in response.content
    assert response.content.startswith(b"<!DOCTYPE html>") or b"<html" in response.content


def test_staff_sees_all(client: Client, staff: User, three: None) -> None:
    client.force_login(staff)
    assert names(client.get(URL).content) == ["three", "two", "one"]


def test_htmx_is_given_the_table_alone(page: Client, three: None) -> None:
    response = page.get(URL, headers=HTMX)
    assert b'id="jobs-table"' in response.content
    assert b"<html" not in response.content
    assert names(response.content) == ["three", "two", "one"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=failed", ["three", "two"]),
        ("kind=sft", ["three", "one"]),
        ("status=failed&kind=sft", ["three"]),
        ("q=TWO", ["two"]),
        ("q=%25", []),
        ("q=none", []),
        ("status=nonsense", ["three", "two", "one"]),
        ("kind=nonsense", ["three", "two", "one"]),
        ("sort=name", ["one", "three", "two"]),
        ("sort=-name", ["two", "three", "one"]),
        ("sort=created", ["one", "two", "three"]),
        ("sort=password", ["three", "two", "one"]),
        ("sort=--name", ["three", "two", "one"]),
        ("sort=owner__password", ["three", "two", "one"]),
        ("where=name+~+t", ["three", "two"]),
        ("where=status+%3D+failed&kind=sft", ["three"]),
        ("page=999", ["three", "two", "one"]),
        ("page=x", ["three", "two", "one"]),
    ],
)
def test_filter_and_sort(page: Client, three: None, query: str, expected: list[str]) -> None:
    response = page.get(f"{URL}?{query}")
    assert response.status_code == 200
    assert names(response.content) == expected


@pytest.mark.parametrize("sort", ["kind", "status", "progress", "started", "duration", "-duration"])
def test_every_column_sorts(page: Client, three: None, sort: str) -> None:
    assert len(names(page.get(f"{URL}?sort={sort}").content)) == 3


def test_jobs_are_shown_by_the_page(page: Client, user: User) -> None:
    for _ in range(51):
        factories.make_job(user, name="job")
    assert page.get(URL).content.count(b">job</a>") == 50
    assert page.get(f"{URL}?page=2").content.count(b">job</a>") == 1


def test_a_hostile_name_shows_as_written(page: Client, user: User) -> None:
    factories.make_job(user, name="<script>alert(1)</script>")
    content = page.get(URL).content
    assert b"<script>alert" not in content
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in content


def test_no_jobs(page: Client) -> None:
    assert names(page.get(URL).content) == []


def test_takes_the_same_queries_for_one_row_and_three(page: Client, user: User) -> None:
    page.get(URL)
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            first = factories.make_job(user, status="running")
            factories.make_job(
                user, status="queued", after=first, queued_at=datetime(2026, 1, 1, tzinfo=UTC)
            )
        counts.append(queries(page, URL))
    assert counts[0] == counts[1]


def test_anonymous(db: None) -> None:
    assert asks_for_login(URL)


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, URL, "get")
