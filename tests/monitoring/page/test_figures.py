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
        ("Key metrics", ["train/loss"]),
        ("plain", ["plain"]),
        ("train", ["loss", "lr"]),
    ]
    assert groups[0].series[0] == {
        "name": "train/loss",
        "label": "train/loss",
        "last_value": 0.5,
        "last_step": 1,
        "better": "lower",
        "best": 0.5,
        "is_key": True,
    }


def test_the_scores_of_validation_come_first_by_a_name_that_fits(user: User) -> None:
    job = factories.make_job(user, kind="grpo", spec=factories.grpo_spec().to_json())
    for name in (
        "critic/score/mean", "val-core/openai/gsm8k/acc/best@8/mean", "val-aux/x/acc/std@8",
        "val-core/openai/gsm8k/acc/mean@8", "val-core/aime/reward/maj@8/mean",
    ):  # fmt: skip
        factories.add_points(job, name, {1: 0.25, 2: 0.75, 3: 0.5})
    first = figures.series_groups(job)[0]
    assert [(row["name"], row["label"]) for row in first.series] == [
        ("val-core/aime/reward/maj@8/mean", "Validation score, aime"),
        ("val-core/openai/gsm8k/acc/mean@8", "Validation score, openai/gsm8k"),
        ("critic/score/mean", "critic/score/mean"),
    ]
    assert [row["best"] for row in first.series] == [0.75, 0.75, 0.75]


def test_two_key_metrics_that_are_the_same_are_one(user: User) -> None:
    spec = factories.grpo_spec().to_json()
    same, apart = (factories.make_job(user, kind="grpo", spec=spec) for _ in range(2))
    for job, reward in ((same, 0.5), (apart, 0.25)):
        factories.add_points(job, "critic/score/mean", {1: 0.5})
        factories.add_points(job, "critic/rewards/mean", {1: reward})
    assert pinned(same) == ["critic/score/mean"]
    assert pinned(apart) == ["critic/score/mean", "critic/rewards/mean"]
    groups = figures.series_groups(same, {"critic/rewards/mean": True})
    assert [row["name"] for row in groups[0].series] == ["critic/score/mean", "critic/rewards/mean"]


def test_of_a_metric_without_a_known_better_side_no_value_is_best(job: Job) -> None:
    factories.add_points(job, "actor/entropy", {1: 1.0})
    [row] = figures.series_groups(job)[0].series
    assert (row["better"], row["best"]) == ("", None)


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


def test_of_the_evaluation_of_a_checkpoint_the_figure_comes_first(user: User) -> None:
    job = factories.make_job(user)
    for name in ("eval/sums:04ab-e032/score/mean", "eval/score/mean", "plain"):
        factories.add_points(job, name, {1: 1.0})
    rows = [row for group in figures.series_groups(job) for row in group.series]
    found = {row["name"]: row["label"] for row in rows}
    assert found == {
        "eval/sums:04ab-e032/score/mean": "score/mean · sums:04ab-e032",
        "eval/score/mean": "score/mean",
        "plain": "plain",
    }
