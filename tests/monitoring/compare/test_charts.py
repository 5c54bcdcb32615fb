"""Runs laid over each other: points, figures, groups, axes, and what the address keeps."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.colours import colour_of
from jobs.models import Event, Job
from monitoring.series.column import Column
from monitoring.series.frame import frame_of
from monitoring.store import points
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.backends
URL, POINTS, LOSS = "/jobs/compare/", "/jobs/compare/points/", "train/loss"


@pytest.fixture
def three(user: User) -> list[Job]:
    """Two runs with a learning rate of 0.5, one with 0.25; 100 s a step, the last on 2 GPUs."""
    jobs = []
    for at, lr in enumerate((0.5, 0.5, 0.25)):
        job = factories.make_job(
            user, name=f"run {at}", spec=factories.sft_spec(lr=lr).to_json(), gpus=2 * (at == 2)
        )
        steps = np.arange(1, 5, dtype=np.int64)
        values = np.array([4.0, 3.0, 2.0, 1.0 + at])
        frame = frame_of(
            (LOSS, "perf/total_num_tokens"), steps, np.stack([values, 0 * values + 10], 1)
        )
        points.append(job, [frame], Column(steps, (1000 + 3600 * steps).astype(np.float64)))
        jobs.append(job)
    return jobs


def address(url: str, jobs: list[Job], **more: Any) -> str:
    return f"{url}?{urlencode({'job': [job.pk for job in jobs], **more}, doseq=True)}"


def chart(page: Client, jobs: list[Job], **more: Any) -> Any:
    answer = page.get(address(POINTS, jobs, metric=LOSS, **{"width": 100, **more}))
    assert answer.status_code == 200
    found = answer.json()
    [one] = found.pop("charts")
    return found | one


def test_the_points_of_all_runs(page: Client, three: list[Job]) -> None:
    found = chart(page, three)
    assert found["x"] == [1, 2, 3, 4]
    assert {line["job"]: line["y"][-1] for line in found["lines"]} == {
        job.pk: 1.0 + at for at, job in enumerate(three)
    }
    part = chart(page, three, low=2.5, high=3.5)
    assert part["x"] == [2, 3, 4]


@pytest.mark.parametrize(
    ("axis", "first", "left_out"),
    [
        ("time", [0, 1, 2, 3], 0),
        ("tokens", [10, 20, 30, 40], 0),
        ("gpu-hours", [0, 2, 4, 6], 2),
        ("cost", [], 3),
        ("nonsense", [1, 2, 3, 4], 0),
    ],
)
def test_other_axes(
    page: Client, three: list[Job], axis: str, first: list[float], left_out: int
) -> None:
    found = chart(page, three, x=axis)
    assert (found["x"], len(found["why_not"])) == (first, left_out)
    assert all(why.endswith(".") for why in found["why_not"].values())


def test_a_night_between_two_attempts_costs_nothing(page: Client, three: list[Job]) -> None:
    began = datetime.fromtimestamp(1000, UTC)
    hours = {"running": 0.0, "paused": 2.5, "queued": 2.6, "starting": 2.8}
    for kind, hour in [*hours.items(), ("running", 3.0)]:
        Event.objects.create(
            job=three[2], kind=kind, source="platform", at=began + timedelta(hours=hour)
        )

    found = chart(page, three, x="gpu-hours")

    assert found["x"] == pytest.approx([2, 4, 5, 7])


def test_groups_by_a_setting(page: Client, three: list[Job]) -> None:
    low, high = chart(page, three, group="lr")["groups"]
    assert (low["name"], low["runs"], low["mean"][-1]) == ("0.25", 1, 3.0)
    assert (high["name"], high["runs"]) == ("0.5", 2)
    assert (high["mean"][-1], high["low"][-1], high["high"][-1]) == (1.5, 1.0, 2.0)
    assert "lines" in chart(page, three, group="no such setting")
    assert "0.25 (1 run)" in page.get(address(URL, three, group="lr")).content.decode()


def test_what_is_not_finite_or_not_there_is_said(
    page: Client, three: list[Job], user: User
) -> None:
    factories.add_points(three[0], LOSS, {9: float("nan")})
    none = factories.make_job(user)
    found = chart(page, [*three, none])
    assert found["bad"] == {str(three[0].pk): 1}
    assert found["without"] == [none.pk]


def test_nothing_new_is_no_answer(page: Client, three: list[Job]) -> None:
    stamp = chart(page, three)["stamp"]
    url = address(POINTS, three, metric=LOSS, width=100, seen=stamp)
    assert page.get(url).status_code == 204
    factories.add_points(three[0], LOSS, {9: 1.0})
    assert page.get(url).status_code == 200


def test_several_charts_in_one_answer_and_the_first_ones_are_asked_for_ahead(
    page: Client, three: list[Job]
) -> None:
    names = [LOSS, "perf/total_num_tokens", "of no run", "a", "b"]
    [loss, tokens, none] = page.get(address(POINTS, three, metric=names[:3], width=100)).json()[
        "charts"
    ]
    assert [each["metric"] for each in (loss, tokens, none)] == names[:3]
    assert tokens["lines"][0]["y"] == [10, 10, 10, 10]
    assert none["without"] == [job.pk for job in three]
    content = page.get(address(URL, three, metric=names, x="time")).content.decode()
    [ahead] = re.findall(r'data-url="([^"]+)"', content)
    found = page.get(unescape(ahead)).json()["charts"]
    assert [each["metric"] for each in found] == names[:4]
    assert found[0]["x"] == [0, 1, 2, 3]


def test_smoothing_is_over_all_points(page: Client, three: list[Job]) -> None:
    [line, *_] = chart(page, three, smooth=50)["lines"]
    assert line["y"] == [4.0, 3.33333, 2.57143, 1.73333]


@pytest.mark.parametrize("more", [{"width": "x"}, {"width": 1}, {"low": "x"}, {"width": 10**9}])
def test_a_window_that_there_is_not(page: Client, three: list[Job], more: dict[str, Any]) -> None:
    url = address(POINTS, three, **{"metric": LOSS, "width": 100, **more})
    assert page.get(url).status_code == 422


def test_the_points_of_somebody_else_are_not_given(page: Client, other: User) -> None:
    theirs = factories.make_job(other)
    factories.add_points(theirs, LOSS, {1: 1.0})
    found = chart(page, [theirs])
    assert (found["x"], found["lines"], found["without"]) == ([], [], [])


def cells(content: str, job: Job) -> list[str]:
    row = re.search(rf'data-run="{job.pk}".*?</tr>', content, re.DOTALL)
    assert row
    found = re.findall(r'<td class="figure".*?</td>', row[0], re.DOTALL)
    return [" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in found]


def test_the_table_has_last_best_and_difference(page: Client, three: list[Job]) -> None:
    url = address(URL, three, metric=LOSS, baseline=three[1].pk, at=2)
    content = page.get(url).content.decode()
    assert cells(content, three[0]) == ["1 -50.0 %", "1 -50.0 %", "3"]
    assert cells(content, three[1]) == ["2", "2", "3"]
    assert cells(content, three[2]) == ["3 +50.0 %", "2 +0.0 %", "3"]
    assert "At 2" in content


def test_the_address_keeps_the_view(page: Client, three: list[Job]) -> None:
    url = address(
        URL, three, metric=[LOSS, "none"], hide=three[1].pk, x="tokens", group="lr", smooth=30
    )
    content = page.get(url).content.decode()
    shown = re.findall(r"data-show-run\s+autocomplete=\"off\"\s+(checked)?", content)
    assert shown == ["checked", "", "checked"]
    assert f'data-overlay="{LOSS}"' in content
    assert 'data-overlay="none"' in content
    assert re.search(r'data-compare="/jobs/compare/points/\?[^"]*x=tokens', content)
    assert f'name="hide" value="{three[1].pk}"' in content


def test_without_metrics_the_key_ones_are_shown(page: Client, three: list[Job]) -> None:
    content = page.get(address(URL, three)).content.decode()
    assert re.findall(r'data-overlay="([^"]+)"', content) == [LOSS]


def test_events_of_all_runs(page: Client, three: list[Job]) -> None:
    for minutes, job in enumerate(three):
        at = timezone.now() - timedelta(minutes=minutes)
        Event.objects.create(job=job, at=at, kind="running", message=f"told <{minutes}>")
    content = page.get(address(URL, three)).content.decode()
    assert content.index("told &lt;0&gt;") < content.index("told &lt;2&gt;")


def test_neighbours_have_different_colours() -> None:
    assert len({colour_of(number) for number in range(1, 25)}) == 24


def test_takes_as_many_queries_for_three_runs_as_for_two(page: Client, three: list[Job]) -> None:
    for url, more in ((URL, {"group": "lr"}), (POINTS, {"metric": LOSS, "width": 50, "x": "time"})):
        page.get(address(url, three, **more))
        two = queries(page, address(url, three[1:], **more))
        assert queries(page, address(url, three, **more)) == two


def test_login_and_methods(page: Client) -> None:
    for url in (URL, f"{POINTS}?width=100"):
        assert asks_for_login(url)
        assert refuses_other_methods(page, url, "get")
