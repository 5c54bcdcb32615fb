"""The metrics of a run as its page takes them."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from jobs.models import Job
from monitoring.page import figures
from monitoring.store import points
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods


@pytest.fixture
def job(user: User) -> Job:
    return factories.make_job(user, status="running")


@pytest.mark.backends
def test_the_message_of_new_points(job: Job) -> None:
    factories.add_points(job, "a", {1: 0.5, 2: float("nan")})
    factories.add_points(job, "b", {2: float("-inf")})
    assert figures.news_shown(points.since(job, 0)) == {
        "type": "points",
        "number": 2,
        "anew": False,
        "series": {"a": [(1, 0.5), (2, "nan")], "b": [(2, "-inf")]},
    }


def test_series_are_grouped_by_prefix_key_metrics_first(job: Job) -> None:
    for name, value in (("train/loss", 0.5), ("train/lr", 1.0), ("plain", 2.0)):
        factories.add_points(job, name, {1: value})
    groups = figures.series_groups(job)
    assert [(group.name, [row["label"] for row in group.series]) for group in groups] == [
        ("Key metrics", ["loss"]),
        ("plain", ["plain"]),
        ("train", ["loss", "lr"]),
    ]
    assert groups[0].series[0] == {
        "name": "train/loss",
        "label": "loss",
        "last_value": 0.5,
        "last_step": 1,
    }


def test_the_kind_says_which_come_first_and_in_which_order(user: User) -> None:
    names = ("critic/score/mean", "train/loss", "val/loss", "count/number")
    of_grpo = factories.make_job(user, kind="grpo", spec=factories.grpo_spec().to_json())
    of_sft, of_none = factories.make_job(user), factories.make_job(user, kind="gone", spec={})
    for job in (of_grpo, of_sft, of_none):
        for name in reversed(names):
            factories.add_points(job, name, {1: 1.0})
    assert pinned(of_grpo) == ["critic/score/mean"]
    assert pinned(of_sft) == ["train/loss", "val/loss"]
    assert pinned(of_none) == []


def pinned(job: Job) -> list[str]:
    first = figures.series_groups(job)[0]
    return [row["name"] for row in first.series] if first.name == figures.KEY_GROUP else []


def test_of_very_many_series_the_names_come_later(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "WIDE", 2)
    for name in ("train/loss", "train/lr", "plain"):
        factories.add_points(job, name, {1: 1.0})
    groups = figures.series_groups(job)
    assert [(group.name, len(group.series), group.total) for group in groups] == [
        ("Key metrics", 1, 1),
        ("plain", 0, 1),
        ("train", 0, 2),
    ]


def test_no_series_no_groups(job: Job) -> None:
    assert figures.series_groups(job) == []


def url(job: Job) -> str:
    return f"/jobs/{job.pk}/figures/"


def test_the_list_of_figures(page: Client, job: Job) -> None:
    factories.add_points(job, "train/loss", {1: 0.5, 2: 0.25, 3: float("nan")})
    words = re.sub(r"<[^>]*>", " ", page.get(url(job)).content.decode()).split()
    at = words.index("train/loss")
    assert words[at : at + 6] == ["train/loss", "nan", "3", "0.25", "0.5", "3"]


def test_a_search_of_figures_with_and_without_htmx(page: Client, job: Job) -> None:
    for name in ("train/loss", "val/loss"):
        factories.add_points(job, name, {1: 1.0})
    for headers in ({}, {"HX-Request": "true"}):
        content = page.get(f"{url(job)}?q=VAL", headers=headers).content.decode()
        assert "val/loss" in content
        assert "train/loss" not in content
        assert ("<h1>" in content) is not bool(headers)
    assert "No figure has that in its name." in page.get(f"{url(job)}?q=none").content.decode()


def test_the_list_takes_the_same_queries_for_one_row_and_three(page: Client, job: Job) -> None:
    factories.add_points(job, "a", {1: 1.0})
    one = queries(page, url(job))
    for name in "bc":
        factories.add_points(job, name, {1: 1.0})
    assert queries(page, url(job)) == one


def test_someone_elses_figures(page: Client, other: User) -> None:
    assert page.get(url(factories.make_job(other))).status_code == 404


def test_figures_want_a_login(job: Job) -> None:
    assert asks_for_login(url(job))


def test_figures_are_only_read(page: Client, job: Job) -> None:
    assert refuses_other_methods(page, url(job), "get")
