"""The charts of runs with many points and with many figures, in a real browser."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Position, Request, expect

from tests.e2e.site import ROOT, Site

pytestmark = pytest.mark.e2e
POINTS = "(plot) => plot.plot.data[0].length"
SCRIPT = Path(__file__).with_name("long_runs.py")
BEAT_EVERY = 2.0


@pytest.fixture(scope="module")
def runs(site: Site) -> Iterator[dict[str, Any]]:
    """Two runs that go on: somebody must be their hearts."""
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", SCRIPT.read_text()],
        cwd=ROOT, env=site.env, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    made = json.loads(done.stdout.splitlines()[-1])
    stop = threading.Event()
    heart = threading.Thread(target=beat, args=(made["dirs"], stop))
    heart.start()
    yield made
    stop.set()
    heart.join()
    for folder in made["dirs"]:
        Path(folder, "exit_code").write_text("1\n")


def beat(folders: list[str], stop: threading.Event) -> None:
    while not stop.wait(BEAT_EVERY):
        for folder in folders:
            Path(folder, "heartbeat").write_text(str(time.time()))


def asked(page: Page) -> list[str]:
    """The addresses at which the page asks for points."""
    found: list[str] = []

    def heard(request: Request) -> None:
        if "/points/" in request.url:
            found.append(request.url)

    page.on("request", heard)
    return found


def loss(page: Page) -> Locator:
    return page.locator('[data-series="train/loss"]').first


def points_in(card: Locator) -> int:
    return int(card.locator("[data-chart-plot]").evaluate(POINTS))


def until(page: Page, card: Locator, least: int) -> None:
    page.wait_for_function(
        """(least) => document.querySelector('[data-series="train/loss"] [data-chart-plot]')
             .plot.data[0].length >= least""",
        arg=least,
    )
    assert points_in(card) >= least


def test_a_long_run_is_thinned_and_a_zoom_brings_all_of_a_part(
    page: Page, site: Site, runs: dict[str, Any], complaints: list[str]
) -> None:
    requests = asked(page)
    page.goto(f"{site.url}/jobs/{runs['long']}/")
    card = loss(page)
    expect(card.locator("canvas").first).to_be_visible()
    expect(card.locator("[data-bad]")).to_have_text("▲ 1 not finite")
    thin = points_in(card)
    assert 100 < thin < 2500
    assert "width=" in requests[0]
    box = card.locator(".u-over").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.60 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.70 * box["width"], middle, steps=5)
    page.mouse.up()
    until(page, card, thin + 300)
    assert "low=" in requests[-1]
    page.wait_for_url("**/?from=*")
    page.reload()
    expect(card.locator("canvas").first).to_be_visible()
    until(page, card, thin + 300)
    page.mouse.dblclick(box["x"] + 20, middle)
    page.wait_for_url("**/")
    assert abs(points_in(card) - thin) < 10
    assert complaints == []


def test_charts_are_put_together_pinned_and_read_by_keys(
    page: Page, site: Site, runs: dict[str, Any], complaints: list[str]
) -> None:
    page.goto(f"{site.url}/jobs/{runs['long']}/")
    expect(loss(page).locator("canvas").first).to_be_visible()
    loss(page).get_by_label("Menu of this chart").click()
    page.get_by_placeholder("Into one chart with …").fill("bench/value")
    page.keyboard.press("Enter")
    both = page.locator('[data-chart-group="Together"] [data-series]')
    expect(both.locator("canvas").first).to_be_visible()
    expect(both.locator("[data-chart-legend] li")).to_have_count(2)
    page.locator('[data-chart-group="bench"] > summary').click()
    other = page.locator('[data-chart-group="bench"] [data-series="bench/value"]')
    other.get_by_label("Menu of this chart").click()
    page.get_by_text("Pin to the key metrics").click()
    first = page.locator('[data-chart-group="Key metrics"] [data-series="bench/value"]')
    expect(first.locator("canvas").first).to_be_visible()
    other.locator("[data-chart-plot]").focus()
    page.keyboard.press("Home")
    page.wait_for_url("**/?*at=1")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(r"at=(?!1$)\d+$"))
    step = page.url.rpartition("=")[2]
    page.reload()
    expect(first.locator("[data-chart-read]")).to_contain_text(f"step {step}")
    expect(both.locator("canvas").first).to_be_visible()
    page.locator("[data-x]").select_option("metric:")
    page.get_by_placeholder("Name of a metric").fill("bench/value")
    page.keyboard.press("Enter")
    until(page, loss(page), 4999)  # all but the one without a number on the x-axis
    assert complaints == []


def test_a_chart_that_is_dragged_onto_another_lies_in_one_with_it(
    page: Page, site: Site, runs: dict[str, Any], complaints: list[str]
) -> None:
    page.goto(f"{site.url}/jobs/{runs['long']}/")
    expect(loss(page).locator("canvas").first).to_be_visible()
    page.locator('[data-chart-group="bench"] > summary').click()
    other = page.locator('[data-chart-group="bench"] [data-series="bench/value"]')
    expect(other.locator("canvas").first).to_be_visible()
    both = page.locator('[data-chart-group="Together"] [data-series]')
    grip: Position = {"x": 4, "y": 2}  # beside the name, which is a link
    other.locator(".chart-head").drag_to(other.locator("[data-chart-plot]"), source_position=grip)
    expect(both).to_have_count(0)  # onto itself
    other.locator(".chart-head").drag_to(
        loss(page).locator("[data-chart-plot]"), source_position=grip
    )
    expect(both).to_have_count(1)
    expect(both.locator("canvas").first).to_be_visible()
    expect(both.locator("[data-chart-legend] li")).to_have_text(
        [re.compile("^train/loss"), re.compile("^bench/value")]
    )
    assert page.locator(".takes").count() == 0
    page.wait_for_url(re.compile("with=train%2Floss%0Abench%2Fvalue"))
    assert complaints == []


@pytest.mark.parametrize(
    ("words", "is_there"),
    [("VALUE", True), ("^bench|nothing", True), ("^value", False), ("value(", False)],
)
def test_charts_are_found_by_a_part_of_the_name_or_an_expression(
    page: Page, site: Site, runs: dict[str, Any], words: str, is_there: bool
) -> None:
    page.goto(f"{site.url}/jobs/{runs['long']}/")
    page.get_by_placeholder("Search the charts").fill(words)
    expect(page.locator('[data-chart-group="train"]')).to_be_hidden()
    expect(page.locator('[data-chart-group="bench"]')).to_be_visible(visible=is_there)
    expect(page.get_by_text("No chart has such a name.")).to_be_visible(visible=not is_there)


def test_a_line_of_metrics_comes_to_the_chart_and_the_table(
    page: Page, site: Site, runs: dict[str, Any], complaints: list[str]
) -> None:
    page.goto(f"{site.url}/jobs/{runs['long']}/")
    expect(loss(page).locator("canvas").first).to_be_visible()
    line = {"step": 5001, "data": {"train/loss": 0.5, "new/one": 2}}
    with Path(runs["dirs"][0], "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    expect(loss(page).locator("[data-chart-read]")).to_have_text("step 5001")
    expect(page.locator("#run-progress")).to_contain_text("5001 of 5000 steps")
    page.get_by_text("All last values").first.click()
    expect(page.locator('[data-figure="new/one"] [data-figure-value]')).to_have_text("2")
    assert complaints == []


def test_smoothing_takes_every_point(page: Page, site: Site, runs: dict[str, Any]) -> None:
    page.goto(f"{site.url}/jobs/{runs['long']}/")
    card = loss(page)
    expect(card.locator("canvas").first).to_be_visible()
    page.locator("[data-smoothing]").evaluate(
        "(slider) => { slider.value = 0.9; slider.dispatchEvent(new Event('input')); }"
    )
    until(page, card, 5000)


def test_of_very_many_figures_a_group_is_filled_when_it_is_opened(
    page: Page, site: Site, runs: dict[str, Any], complaints: list[str]
) -> None:
    page.goto(f"{site.url}/jobs/{runs['wide']}/")
    group = page.locator('[data-chart-group="layer"]')
    expect(group.locator("[data-series]")).to_have_count(0)
    expect(group.locator("[data-group-count]")).to_have_text("700")
    group.locator("summary").click()
    expect(group.locator("[data-series]")).to_have_count(100)
    expect(group.locator("canvas").first).to_be_visible()
    group.get_by_role("button", name="Show more").click()
    expect(group.locator("[data-series]")).to_have_count(200)
    assert complaints == []


def test_runs_lie_over_each_other_in_their_colours(
    page: Page, site: Site, runs: dict[str, Any], complaints: list[str]
) -> None:
    query = f"job={runs['long']}&job={runs['wide']}&metric=train/loss"
    page.goto(f"{site.url}/jobs/compare/?{query}")
    card = page.locator('[data-overlay="train/loss"]')
    expect(card.locator("canvas").first).to_be_visible()
    box = card.locator(".u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    row = page.locator(f"[data-run='{runs['long']}']")
    expect(row.locator("[data-at]")).to_have_text(re.compile(r"\d"))
    row.locator("[data-show-run]").uncheck()
    expect(page).to_have_url(re.compile(rf"hide={runs['long']}$"))
    shown = card.locator("[data-overlay-plot]").evaluate("(e) => e.plot.series.map((s) => s.show)")
    assert shown == [True, False, True]
    assert complaints == []
