"""The page of what happened to a job."""

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs import events, lifecycle
from jobs.models import Event, Job
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, name="<a run>", attempt=1)
    lifecycle.record(job, "queued", who="ada")
    job.events.create(at=timezone.now(), kind="checkpoint", source=Event.Source.RUN, position=0)
    job.attempt = 2
    job.save()
    lifecycle.record(job, "resumed", message="Goes on from step 5.", step=5)
    return job


def url(job: Job) -> str:
    return f"/jobs/{job.pk}/events/"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["resumed", "checkpoint", "queued"]),
        ("sort=at", ["queued", "checkpoint", "resumed"]),
        ("sort=kind", ["checkpoint", "queued", "resumed"]),
        ("sort=job__owner", ["resumed", "checkpoint", "queued"]),
        ("kind=queued", ["queued"]),
        ("source=run", ["checkpoint"]),
        ("source=platform", ["resumed", "queued"]),
        ("source=nonsense", ["resumed", "checkpoint", "queued"]),
        ("attempt=2", ["resumed"]),
        ("attempt=-1", ["resumed", "checkpoint", "queued"]),
        ("attempt=99999999999999999999", []),
        ("q=STEP+5", ["resumed"]),
        ("q=ada", ["queued"]),
        ("q=%00", ["resumed", "checkpoint", "queued"]),
        ("q=none", []),
        ("q=GOES", ["resumed"]),  # in the words of the kind
        ("severity=info", ["resumed", "checkpoint", "queued"]),
        ("severity=warning", []),
        ("severity=nonsense", ["resumed", "checkpoint", "queued"]),
    ],
)
def test_filter_and_sort(page: Client, job: Job, query: str, expected: list[str]) -> None:
    response = page.get(f"{url(job)}?{query}")
    assert response.status_code == 200
    assert [row["kind"] for row in response.context["rows"]] == expected
    assert "&lt;a run&gt;" in response.content.decode()


def test_words_and_severity_of_each_kind(page: Client, user: User) -> None:
    job = factories.make_job(user)
    lifecycle.record(job, events.STALLED, message="The step after 3.")
    job.events.create(at=timezone.now(), kind="<new>", source=Event.Source.RUN, position=0)
    job.events.create(at=timezone.now(), kind="stalled", source=Event.Source.RUN, position=1)
    content = page.get(url(job)).content.decode()
    assert 'aria-label="Warning"' in content
    assert content.count("A step takes unusually long") == 2, "in the row, and in the filter"
    assert content.count("(unknown)") == 2
    assert "&lt;new&gt;" in content
    warned = page.get(f"{url(job)}?severity=warning").context["rows"]
    assert [row["source"] for row in warned] == ["platform"]
    noted = page.get(f"{url(job)}?severity=info").context["rows"]
    assert [row["kind"] for row in noted] == ["stalled", "<new>"]
    shown = page.get(job.get_absolute_url()).content.decode()
    assert "A step takes unusually long" in shown
    assert shown.count("(unknown)") == 2


def test_htmx_is_given_the_table_and_nothing_while_it_is_shown(page: Client, job: Job) -> None:
    response = page.get(url(job), headers=HTMX)
    assert b"<html" not in response.content
    again = f"{url(job)}?stamp={response.context['stamp']}"
    assert page.get(again, headers=HTMX).status_code == 204
    lifecycle.record(job, "held")
    assert "Held in the queue" in page.get(again, headers=HTMX).content.decode()


def test_whole_as_csv_and_json(page: Client, job: Job) -> None:
    rows = json.loads(page.get(f"{url(job)}?format=json&kind=resumed").content)
    assert [(row["kind"], row["data"], row["attempt"]) for row in rows] == [
        ("resumed", {"step": 5}, 2)
    ]
    lines = page.get(f"{url(job)}?format=csv&sort=at").content.decode().splitlines()
    assert lines[0] == "at,attempt,kind,who,message,source,data"
    assert len(lines) == 4


def test_by_the_page(page: Client, job: Job) -> None:
    for _ in range(48):
        lifecycle.record(job, "moved")
    assert len(page.get(url(job)).context["rows"]) == 50
    assert len(page.get(f"{url(job)}?page=2").context["rows"]) == 1


def test_who_may_look(page: Client, job: Job, other: User, staff: User) -> None:
    assert asks_for_login(url(job))
    assert refuses_other_methods(page, url(job), "get")
    assert page.get("/jobs/999999/events/").status_code == 404
    for user, status in ((other, 404), (staff, 200)):
        client = Client()
        client.force_login(user)
        for query in ("", "?format=csv", "?format=json"):
            assert client.get(url(job) + query).status_code == status
    assert url(job) in page.get(f"/jobs/{job.pk}/").content.decode()


def test_empty(page: Client, user: User) -> None:
    job = factories.make_job(user)
    assert b"Nothing has happened yet" in page.get(url(job)).content
    assert b"No event matches" in page.get(f"{url(job)}?kind=x").content


def test_the_same_queries_for_one_row_and_three(page: Client, user: User) -> None:
    job = factories.make_job(user)
    page.get(url(job))
    counts = []
    for rows in (1, 2):
        for _ in range(rows):
            lifecycle.record(job, "moved")
        counts.append(queries(page, url(job)))
    assert counts[0] == counts[1]
