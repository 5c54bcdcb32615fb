"""What a new user meets, in order: one site, one browser, real training by verl on the CPU.

The tests of this file share the site and build on each other: the sample SFT run trains first,
then the sample GRPO run after it.
"""

import json
import os
import re
import signal
from pathlib import Path
from statistics import mean

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect

from tests.e2e import looks
from tests.e2e.conftest import listen
from tests.e2e.site import Site, wait_for

pytestmark = pytest.mark.e2e
SFT, GRPO = 1, 2


def points_in(path: Path) -> dict[str, dict[int, float]]:
    """The figures of a metrics file, by name and step."""
    found: dict[str, dict[int, float]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        for name, value in record["data"].items():
            if isinstance(value, int | float):
                found.setdefault(name, {})[record["step"]] = float(value)
    return found


def shown_step(page: Page) -> int:
    text = page.locator("#run-header").inner_text()
    match = re.search(r"(\d+) of \d+ steps", text)
    return int(match.group(1)) if match else 0


def test_the_first_page_shows_training(page: Page, site: Site, complaints: list[str]) -> None:
    page.goto(site.url)

    board = page.locator("#board")
    expect(board).to_contain_text("Sample: SFT on the CPU")
    expect(board).to_contain_text("Sample: GRPO on the CPU")
    expect(board.get_by_text("sample", exact=True).first).to_be_visible()
    assert complaints == []


def test_the_sft_run_ended_true_and_whole(page: Page, site: Site) -> None:
    site.wait_for_status(SFT, "completed", "failed", "lost")
    job = site.job(SFT)
    assert (job["status"], job["exit_code"], job["step"]) == ("completed", 0, job["steps"])
    assert "Total training steps: 64" in (Path(job["run_dir"]) / "train.log").read_text()

    written = points_in(Path(job["run_dir"]) / "metrics.jsonl")
    query = "&".join(f"name={name}" for name in written)
    stored = page.request.get(f"{site.url}/jobs/{SFT}/points/?{query}").json()["series"]
    assert {name: {step: float(v) for step, v in rows} for name, rows in stored.items()} == written
    assert written["val/loss"][job["steps"]] < written["train/loss"][1]


def test_curves_and_log_grow_without_a_reload(
    page: Page, site: Site, complaints: list[str]
) -> None:
    page.goto(f"{site.url}/jobs/{GRPO}/")
    page.evaluate("window.neverReloaded = true")

    score = page.locator('[data-series="critic/score/mean"]').first
    expect(score.locator("canvas")).to_be_visible(timeout=300_000)
    first = shown_step(page)
    wait_for(lambda: shown_step(page) > first, "a further step", 60)

    expect(page.locator("[data-connection-text]")).to_have_text("Live")
    expect(page.locator("[data-log-text]")).to_contain_text("critic/score/mean")
    assert page.evaluate("window.neverReloaded") is True
    assert complaints == []


def test_a_page_catches_up_after_the_web_process_died(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/jobs/{GRPO}/")
    expect(page.locator("[data-connection-text]")).to_have_text("Live")
    page.evaluate("window.neverReloaded = true")
    before = shown_step(page)
    os.kill(site.pids()["web"], signal.SIGKILL)
    expect(page.locator("[data-connection-text]")).not_to_have_text("Live")

    expect(page.locator("[data-connection-text]")).to_have_text("Live", timeout=60_000)
    wait_for(lambda: shown_step(page) > before, "the steps that were missed", 60)
    assert page.evaluate("window.neverReloaded") is True


def grpo_with_steps_ahead(site: Site) -> int:
    """The sample run, or another one where that came near its end while the web process started."""
    status, step = site.look(GRPO)
    if status == "running" and step < 10:
        return GRPO
    pk = int(site.manage("submit", "sample-grpo")["id"])
    wait_for(lambda: site.look(pk)[1] > 0, "the first step", 300)
    return pk


def test_training_goes_on_while_the_platform_is_down(site: Site) -> None:
    pk = grpo_with_steps_ahead(site)
    metrics = Path(site.wait_for_status(pk, "running")["run_dir"]) / "metrics.jsonl"
    wait_for(lambda: metrics.exists() and metrics.stat().st_size > 0, "the first step", 300)
    jobs = site.manage("jobs")
    site.stop()
    before = metrics.stat().st_size
    wait_for(lambda: metrics.stat().st_size > before, "a step without the platform", 120)

    site.start()
    assert site.password, "a second start makes no second password"
    assert {job["id"] for job in site.manage("jobs")} == {job["id"] for job in jobs}
    if pk != GRPO:
        site.manage("stop", str(pk))


def test_the_grpo_run_learned(page: Page, site: Site, complaints: list[str]) -> None:
    page.goto(f"{site.url}/jobs/{GRPO}/")
    job = site.wait_for_status(GRPO, "completed", "failed", "lost", within=600)
    assert job["status"] == "completed", job["reason"]

    scores = points_in(Path(job["run_dir"]) / "metrics.jsonl")["critic/score/mean"]
    ordered = [scores[step] for step in sorted(scores)]
    assert len(ordered) == job["steps"]
    assert mean(ordered[-5:]) > mean(ordered[:5])
    expect(page.locator("#run-header")).to_contain_text("Completed", timeout=30_000)
    assert complaints == []


def test_what_the_model_answered_is_shown(page: Page, site: Site, complaints: list[str]) -> None:
    page.goto(f"{site.url}/jobs/{GRPO}/")
    job = site.job(GRPO)
    page.locator('#charts [data-series="critic/score/mean"] .u-over').first.click()
    page.get_by_role("link", name=re.compile(r"Answers of step \d+")).click()
    expect(page.locator("#answers-table")).to_contain_text("their mean is verl's")
    page.goto(f"{site.url}/jobs/{GRPO}/answers/")
    rollouts = Path(job["run_dir"]) / f"rollouts/{job['steps']}.jsonl"
    rows = [json.loads(line) for line in rollouts.read_text().splitlines()]
    expect(page.locator("#answers-table")).to_contain_text(f"{len(rows)} answers in the step")
    expect(page.get_by_text(f"Step {job['steps']}", exact=True)).to_be_visible()

    prompt = rows[0]["uid"].split("_")[0]
    own = [row for row in rows if row["uid"].startswith(prompt)]
    page.locator("#answers-table tbody a").first.click()
    shown = page.locator("article")
    expect(shown).to_have_count(len(own))
    for at, row in enumerate(own):
        expect(shown.nth(at).locator(".answers-text")).to_have_text(row["output"])
        expect(shown.nth(at)).to_contain_text(f"score {row['score']:.4g}")
    assert looks.faults(page) == []
    assert complaints == []


def test_a_checkpoint_is_exported(page: Page, site: Site, complaints: list[str]) -> None:
    page.goto(f"{site.url}/jobs/{SFT}/")
    page.get_by_role("link", name="Export step 64").click()
    page.get_by_label("Name", exact=True).fill("merged sums")
    page.get_by_role("button", name="Export").click()
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    number = int(page.url.rstrip("/").rpartition("/")[2])

    job = site.wait_for_status(number, "completed", "failed", "lost")
    assert (job["status"], job["kind"]) == ("completed", "export"), job["reason"]
    assert job["step"] == job["steps"], "counted in MiB"
    model = Path(job["run_dir"]) / "model"
    of_verl = Path(site.job(SFT)["run_dir"]) / "checkpoints/global_step_64/huggingface"
    assert names_in(model) == names_in(of_verl)
    assert {path.name for path in of_verl.iterdir()} <= {path.name for path in model.iterdir()}
    expect(page.locator("#run-header")).to_contain_text("Step 64 is exported", timeout=30_000)
    assert complaints == []


def names_in(folder: Path) -> set[str]:
    """The names of the tensors in a model's file, from its header."""
    with (folder / "model.safetensors").open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return set(json.loads(file.read(size)))


PAGES = (
    "/",
    "/jobs/",
    "/jobs/?status=completed&sort=-duration&q=Sample",
    "/jobs/?where=algorithm+%3D+grpo&column=lr&column=critic/score/mean:best&sort=-lr",
    "/jobs/new/",
    "/jobs/new/sample-sft/",
    "/jobs/new/grpo/",
    f"/jobs/{SFT}/",
    f"/jobs/{GRPO}/",
    f"/jobs/{SFT}/metric/?name=train/loss",
    f"/jobs/{SFT}/events/",
    f"/jobs/{GRPO}/provenance/",
    f"/jobs/{GRPO}/provenance/?q=lr&only=differs",
    f"/jobs/{SFT}/stop/",
    f"/jobs/{GRPO}/timing/?with={SFT}",
    f"/jobs/stop/?job={SFT}",
    f"/jobs/{SFT}/export/?step=64",
    f"/jobs/delete/?job={SFT}&job={GRPO}",
    f"/jobs/{SFT}/clone/",
    f"/jobs/{SFT}/edit/",
    "/jobs/new/on/1/",
    f"/jobs/{SFT}/resume/",
    f"/jobs/{SFT}/stack/",
    f"/jobs/{SFT}/log/0/",
    f"/jobs/{GRPO}/answers/",
    f"/jobs/{GRPO}/answers/?of=answers&sort=-advantage",
    f"/jobs/{GRPO}/answers/steps/",
    f"/jobs/{GRPO}/log/search/?q=step&level=info",
    f"/jobs/{GRPO}/answers/?kind=validation&only=flat&sort=-mean&q=(&regex=on",
    f"/jobs/compare/?job={SFT}&job={GRPO}&baseline={SFT}",
    f"/jobs/compare/?job={SFT}&job={GRPO}&group=lr&x=time&job=999",
    f"/jobs/compare/answers/?job={SFT}&job={GRPO}",
    "/jobs/imports/",
    "/queue/",
    "/jobs/trackers/",
    "/jobs/try-reward/",
    "/evaluations/",
    "/evaluations/new/",
    "/evaluations/board/",
    f"/evaluations/every/{SFT}/",
    "/surgery/",
    "/surgery/new/",
    "/surgery/sweeps/",
    "/surgery/sweep/",
    "/surgery/average/",
    "/surgery/lora/merge/",
    "/surgery/lora/extract/",
    "/surgery/convert/",
    "/surgery/compare/",
    "/evaluations/chains/",
    "/evaluations/chains/new/?from=sft-grpo-average",
    "/evaluations/chains/recipes/",
    "/artifacts/",
    "/artifacts/?kind=checkpoint&state=there&sort=-size",
    "/artifacts/1/",
    "/artifacts/1/delete/1/",
    f"/artifacts/of-job/{SFT}/",
    f"/surgery/lineage/job/{SFT}/",
    "/surgery/lineage/artifact/1/",
    f"/surgery/again/{SFT}/",
    f"/surgery/checkpoints/{SFT}/",
    f"/surgery/checkpoints/?job={SFT}&job={GRPO}",
    f"/surgery/checkpoints/{SFT}/keep/",
    "/datasets/",
    "/datasets/new/",
    "/datasets/browse/",
    "/datasets/1/",
    "/datasets/1/edit/",
    "/datasets/1/delete/",
    "/datasets/1/versions/1/",
    "/datasets/1/versions/1/rows/0/",
    "/datasets/1/versions/1/tokens/",
    "/datasets/1/versions/1/report/",
    "/datasets/1/versions/1/fields/",
    "/machines/",
    "/machines/new/",
    "/machines/ray/",
    "/machines/join/",
    "/machines/prices/",
    "/calculator/",
    "/jobs/accuracy/",
    "/glossary/?q=clip_ratio",
    "/calculator/gpus/",
    "/machines/1/",
    "/machines/1/edit/",
    "/machines/1/events/",
    "/machines/1/remove/",
    "/machines/?state=removed&sort=-runs&q=x",
    "/admin/",
    "/admin/jobs/job/",
    f"/admin/jobs/job/{SFT}/change/",
)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_keeps_the_content_security_policy_and_can_be_read(
    context: BrowserContext, site: Site, path: str, scheme: str
) -> None:
    complaints: list[str] = []
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    listen(page, complaints)

    answer = page.goto(site.url + path)
    page.wait_for_load_state("load")
    page.mouse.wheel(0, 2000)  # what loads when it is seen, loads now

    assert answer is not None
    assert answer.status == 200
    assert "'unsafe" not in answer.headers["content-security-policy"]
    assert complaints == []
    if not path.startswith("/admin/"):  # Django's own pages
        assert looks.faults(page) == []


def test_a_run_page_is_right_without_javascript(
    browser: Browser, login_state: StorageState, site: Site
) -> None:
    context = browser.new_context(storage_state=login_state, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/jobs/{SFT}/")

    expect(page.locator("#run-header")).to_contain_text("Completed")
    page.get_by_text("All last values").click()
    expect(page.locator("#run-figures")).to_contain_text("train/loss")
    log = page.locator("[data-log-text]").inner_text()
    assert log.strip()
    assert "\x1b" not in log
    expect(page.get_by_role("link", name="Reload")).to_be_visible()
    context.close()
