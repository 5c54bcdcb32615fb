"""Every other algorithm, submitted as a user would and really trained by verl on the CPU.

SFT and GRPO are the first start's sample runs (see ``test_first_start``).
"""

from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.site import Site
from tests.e2e.test_first_start import points_in

pytestmark = pytest.mark.e2e


def trained(site: Site, recipe: str, *sets: str) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """A finished run and its figures by name, in the order of the steps."""
    argv = [part for text in sets for part in ("--set", text)]
    submitted = site.manage("submit", recipe, *argv)
    job = site.wait_for_status(submitted["id"], "completed", "failed", "lost", within=600)
    assert (job["status"], job["exit_code"]) == ("completed", 0), job["reason"]
    assert job["step"] == job["steps"]
    points = points_in(Path(job["run_dir"]) / "metrics.jsonl")
    return job, {name: [by_step[s] for s in sorted(by_step)] for name, by_step in points.items()}


def test_dpo_learns_what_is_preferred(site: Site, page: Page) -> None:
    job, found = trained(site, "sample-dpo")
    assert "Total training steps: 32" in (Path(job["run_dir"]) / "train.log").read_text()
    for name in ("train/rewards/accuracy", "train/rewards/margin"):
        assert mean(found[name][-8:]) > mean(found[name][:8]), name

    page.goto(f"{site.url}/jobs/{job['id']}/")
    expect(page.locator('[data-series="train/rewards/margin"] canvas').first).to_be_visible()


def test_gspo_clips_by_sequence(site: Site) -> None:
    _, found = trained(site, "sample-gspo", "steps=3", "save_freq=-1", "test_freq=-1")
    # The mean ratio of an answer hardly moves, and its clip range is as small: some are clipped.
    assert 0 < max(found["actor/pg_clipfrac"]) < 1
    assert len(found["critic/score/mean"]) == 3


def test_ppo_trains_a_critic(site: Site) -> None:
    """The value head begins at random, at times near its best: the first loss alone says little."""
    _, found = trained(site, "sample-ppo", "steps=8", "save_freq=-1", "test_freq=-1")
    losses = found["critic/vf_loss"]
    assert len(losses) == 8
    assert min(losses[-3:]) < max(losses[:3])
    # 0 is as good as the mean of the returns; heads at random were at -2.8 and -7.5.
    assert max(found["critic/vf_explained_var"][-3:]) > -0.5
    assert min(found["critic/grad_norm"]) > 0
