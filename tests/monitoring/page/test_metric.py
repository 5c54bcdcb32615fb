"""One metric of a run as a table, what a user pins, the marks of the axes, other axes."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs import events, lifecycle
from jobs.models import Job
from monitoring.models import Pin
from monitoring.page import pins
from monitoring.page.figures import key_metrics, series_groups
from monitoring.page.marks import marks_of
from monitoring.series.column import Column
from monitoring.series.frame import frame_of
from monitoring.store import points
from tests import factories
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

NASTY = "<b>a&b</b>/ä loss"


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status="running")
    factories.add_points(job, NASTY, {1: 0.5, 2: float("nan"), 10: float("inf"), 11: 0.25})
    return job


def url(job: Job, **more: object) -> str:
    text = "&".join(f"{name}={value}" for name, value in {"name": NASTY, **more}.items())
    return f"/jobs/{job.pk}/metric/?" + text.replace("&b<", "%26b<")


def first_cells(content: bytes) -> list[str]:
    parts = content.decode().split('<th scope="row" class="figure">')[1:]
    return [part.partition("<")[0] for part in parts]


def test_the_points_of_a_metric_as_a_table(page: Client, job: Job) -> None:
    content = page.get(url(job)).content
    assert first_cells(content) == ["1", "2", "10", "11"]
    assert b"&lt;b&gt;a&amp;b&lt;/b&gt;" in content
    assert b"<b>a" not in content
    assert b"0.25, the\n" in content or b"0.25, the least" in content
    assert first_cells(page.get(url(job, sort="-value")).content) == ["10", "1", "11", "2"]
    assert first_cells(page.get(url(job, low=2, high=10)).content) == ["2", "10"]
    part = page.get(url(job), headers=HTMX).content
    assert b"<h1>" not in part
    assert first_cells(part) == ["1", "2", "10", "11"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"low": 9, "high": 2}, "No step is from 9 to 2"),
        ({"low": "x"}, "Enter a whole number"),
        ({"high": -1}, "greater than or equal to 0"),
        ({"low": 10**30}, "less than or equal"),
    ],
)
def test_steps_that_are_none(page: Client, job: Job, asked: dict[str, object], words: str) -> None:
    response = page.get(url(job, **asked))
    assert response.status_code == 422
    assert words in response.content.decode()


def test_a_metric_that_is_not_there(page: Client, job: Job, other: User) -> None:
    for query in ("", "?name=", "?name=none", "?name=a%00b", f"?name={'a' * 300}"):
        assert page.get(f"/jobs/{job.pk}/metric/{query}").status_code == 404
    theirs = factories.make_job(other)
    factories.add_points(theirs, NASTY, {1: 1.0})
    for path in ("metric/?name=a", "marks/", "metrics.csv", "points/?name=a&x=time"):
        assert page.get(f"/jobs/{theirs.pk}/{path}").status_code == 404
    assert page.post(f"/jobs/{theirs.pk}/pin/", {"name": NASTY, "first": 1}).status_code == 404


def test_as_many_queries_for_one_row_and_three(page: Client, user: User) -> None:
    one, three = factories.make_job(user), factories.make_job(user)
    factories.add_points(one, "a", {1: 1.0})
    factories.add_points(three, "a", {1: 1.0, 2: 1.0, 3: 1.0})
    address = "/jobs/{}/metric/?name=a"
    assert queries(page, address.format(one.pk)) == queries(page, address.format(three.pk))


def test_only_who_is_logged_in(job: Job) -> None:
    for path in ("metric/?name=a", "marks/", "metrics.csv"):
        assert asks_for_login(f"/jobs/{job.pk}/{path}")
    assert asks_for_login(f"/jobs/{job.pk}/pin/", "post")


def test_other_methods(page: Client, job: Job) -> None:
    for path in ("metric/", "marks/", "metrics.csv"):
        assert refuses_other_methods(page, f"/jobs/{job.pk}/{path}", "get")
    assert refuses_other_methods(page, f"/jobs/{job.pk}/pin/", "post")


def put(page: Client, job: Job, name: str, first: object = 1) -> int:
    response = page.post(f"/jobs/{job.pk}/pin/", {"name": name, "first": first})
    return response.status_code


@pytest.mark.backends
def test_a_pin_holds_for_all_runs_of_the_kind_and_for_its_user_alone(
    page: Client, user: User, other: User, job: Job
) -> None:
    factories.add_points(job, "train/loss", {1: 1.0})
    assert put(page, job, NASTY) == 302
    assert put(page, job, NASTY) == 302
    again = factories.make_job(user)
    factories.add_points(again, NASTY, {1: 1.0})
    mine = pins.pins_of(user, again.kind)
    assert [row["name"] for row in series_groups(again, mine)[0].series] == [NASTY]
    assert pins.pins_of(other, job.kind) == pins.pins_of(user, "grpo") == {}
    assert put(page, job, "train/loss", 0) == 302
    assert "train/loss" not in key_metrics(job, pins.pins_of(user, job.kind))
    assert put(page, job, "train/loss") == put(page, job, NASTY, 0) == 302
    assert not Pin.objects.exists()


def test_a_pin_that_is_refused(page: Client, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "MOST", 0)
    for name, first in (("none", 1), ("", 1), (NASTY, "x"), ("a" * 300, 1), (NASTY, 1)):
        assert put(page, job, name, first) == 422
    assert not Pin.objects.exists()


def test_the_page_has_the_pins_of_its_user(page: Client, job: Job) -> None:
    put(page, job, NASTY)
    content = page.get(f"/jobs/{job.pk}/").content.decode()
    group = content.split('data-chart-group="Key metrics"')[1].split('data-chart-group="')[0]
    assert "&lt;b&gt;a&amp;b&lt;/b&gt;/ä loss" in group


def test_the_marks_of_the_axes(user: User) -> None:
    job = factories.make_job(user, status="running", attempt=2)
    steps = np.array([1, 2, 3])
    seconds = 1_700_000_000.0 + steps
    frame = frame_of(("train/loss",), steps, np.ones((3, 1)))
    points.append(job, [frame], Column(steps, seconds))
    factories.add_points(job, "val/loss", {2: 1.0})
    lifecycle.record(job, events.RESUMED, step=1)
    run = {"source": "run", "at": datetime.fromtimestamp(1_700_000_003.5, UTC)}
    job.events.create(kind="checkpoint", data={"step": 3}, **run)
    job.events.create(kind="answers_cut", data={"step": "<b>"}, **run)
    job.events.create(kind="exited", **run)
    assert [(mark["step"], mark["kind"], mark["words"]) for mark in marks_of(job)] == [
        (1, "resume", "Goes on"),
        (2, "evaluation", "Evaluation"),
        (3, "checkpoint", "Checkpoint saved"),
        (3, "alert", "Answers were cut"),
    ]
    assert marks_of(factories.make_job(user)) == []


def points_at(page: Client, job: Job, name: str, x: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        page.get(f"/jobs/{job.pk}/points/?name={name}&x={x}").content
    )["x"]
    return found


def test_where_steps_lie_on_another_axis(page: Client, user: User) -> None:
    job, steps = factories.make_job(user), np.array([2, 4, 6])
    values = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, np.nan]])
    names = ("train/loss", "train/global_tokens")
    points.append(job, [frame_of(names, steps, values)], Column(steps, steps + 100.5))
    factories.add_points(job, "val/loss", {1: 1.0, 5: 1.0})
    assert points_at(page, job, "train/loss", "time") == {
        "places": [[2, 102.5], [4, 104.5], [6, 106.5]], "first": 102.5, "sums": "",
    }  # fmt: skip
    assert points_at(page, job, "val/loss", "tokens") == {
        "places": [[5, 30.0]], "first": 10.0, "sums": "train/global_tokens",
    }  # fmt: skip
    assert points_at(page, job, "train/loss", "metric:train/global_tokens")["places"] == [
        [2, 10.0], [4, 20.0],
    ]  # fmt: skip
    for x in ("metric:none", "metric:a%00b", "tokens%00", "none"):
        assert points_at(page, job, "train/loss", x)["places"] == []
