"""Pause and resume in a real browser, with verl really training."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.site import Site, wait_for
from tests.e2e.test_first_start import points_in

pytestmark = pytest.mark.e2e
STEPS = 48


def test_a_run_is_paused_resumed_and_completes_on_one_x_axis(
    page: Page, site: Site, complaints: list[str]
) -> None:
    argv = ("--set", f"steps={STEPS}", "--set", "save_freq=-1", "--name", "to be paused")
    job = site.manage("submit", "sample-sft", *argv)
    pk = job["id"]
    wait_for(lambda: site.look(pk)[1] >= 2, "its first steps", 600)
    page.goto(f"{site.url}/jobs/{pk}/")
    page.locator("#pause-button").click()
    # The page changes by itself.
    expect(page.locator("#run-header")).to_contain_text("Paused after step", timeout=60_000)
    paused = site.job(pk)
    assert paused["status"] == "paused"
    assert 2 <= paused["step"] < STEPS
    first = points_in(Path(paused["run_dir"]) / "metrics.jsonl")["train/loss"]
    assert max(first) == paused["step"]

    page.locator("#resume-button").click()
    expect(page.locator("main")).to_contain_text(f"Step {paused['step']}")
    page.get_by_role("button", name="Resume").click()
    page.wait_for_url(f"**/jobs/{pk}/")
    done = site.wait_for_status(pk, "completed", "failed", "lost", within=240)
    assert done["status"] == "completed", done["reason"]
    assert (done["attempt"], done["step"]) == (2, STEPS)
    expect(page.locator("#run-header")).to_contain_text("Completed", timeout=30_000)
    second = points_in(Path(done["run_dir"]) / "metrics.jsonl")["train/loss"]
    assert sorted([*first, *second]) == list(range(1, STEPS + 1))  # each step once
    kinds = [event["kind"] for event in site.manage("events", str(pk))]
    assert kinds.index("pause asked") < kinds.index("paused") < kinds.index("resumed")
    assert complaints == []
