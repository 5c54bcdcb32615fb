"""The form of a new job in a real browser."""

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.site import Site, wait_for

pytestmark = pytest.mark.e2e


def test_the_preview_changes_with_typing_and_errors_stand_at_their_fields(
    page: Page, site: Site, complaints: list[str]
) -> None:
    page.goto(f"{site.url}/jobs/new/sample-sft/")
    expect(page.locator("#preview")).to_contain_text("optim.lr=0.002")

    page.fill("[name=lr]", "0.0025")
    expect(page.locator("#preview")).to_contain_text("optim.lr=0.0025")
    page.fill("[name=lr]", "abc")
    expect(page.locator("#error-lr")).to_contain_text("a number")
    page.fill("[name=lr]", "0.001")
    expect(page.locator("#error-lr")).to_be_empty()
    assert complaints == []


def test_what_is_wrong_is_marked_in_the_command_and_empty_fields_say_their_value(
    page: Page, site: Site, complaints: list[str]
) -> None:
    page.goto(f"{site.url}/jobs/new/sample-grpo/")
    expect(page.locator("#id_clip_ratio_high")).to_have_attribute("placeholder", "verl: 0.2")
    page.select_option("#id_variant", "dapo")
    expect(page.locator("#id_clip_ratio_high")).to_have_attribute("placeholder", "DAPO: 0.28")
    page.fill("#id_lr", "1")
    expect(page.locator("#warning-lr")).to_contain_text("is usual")
    page.fill("#id_lr", "abc")
    wrong = page.locator("#preview-command mark.wrong")
    expect(wrong).to_contain_text("optim.lr=abc")
    expect(wrong).to_be_in_viewport()
    assert complaints == []


def test_start_is_in_reach_on_a_phone_and_covers_no_field(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.url}/jobs/new/sample-grpo/")
    start = page.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_in_viewport(ratio=1)
    bar = page.locator(".form-actions").bounding_box()
    assert bar
    for name in ("reward_file", "lr", "mini_batch_size"):
        page.locator(f"#id_{name}").focus()
        field = page.locator(f"#id_{name}").bounding_box()
        assert field
        assert field["y"] + field["height"] <= bar["y"]
        expect(start).to_be_in_viewport(ratio=1)


def test_one_key_asks_for_one_preview(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/jobs/new/sample-sft/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#id_lr").press("End")
    page.locator("#id_lr").press_sequentially("01")
    page.locator("#id_epochs").focus()  # the field has changed now, which says nothing new
    expect(page.locator("#preview")).to_contain_text("optim.lr=0.00201")
    page.select_option("#id_truncation", "left")
    expect(page.locator("#preview")).to_contain_text("data.truncation=left")
    assert sum(url.endswith("/preview/") for url in asked) == 2


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("lr", "abc", "a number"),
        ("model_path", "/nowhere/at/all", "outside the allowed folders"),
        ("train_batch_size", "63", "does not divide"),
        ("overrides", "optim.lrr=1", "has no key optim.lrr"),
    ],
)
def test_bad_input_is_refused_with_what_would_be_right(
    page: Page, site: Site, field: str, value: str, says: str
) -> None:
    before = len(site.manage("jobs"))
    page.goto(f"{site.url}/jobs/new/sample-sft/")
    box = page.locator(f"[name={field}]")
    if not box.is_visible():
        page.get_by_text("More overrides").click()
    box.fill(value)
    page.get_by_role("button", name="Start", exact=True).click()

    expect(page.locator("#error-summary")).to_contain_text(says, timeout=30_000)
    assert len(site.manage("jobs")) == before


def test_two_tabs_pressing_start_begin_one_run(context: BrowserContext, site: Site) -> None:
    before = len(site.manage("jobs"))
    first = context.new_page()
    first.goto(f"{site.url}/jobs/new/sample-sft/")
    first.fill("[name=name]", "pressed twice")
    first.get_by_role("button", name="Save as draft").click()
    first.wait_for_url(f"{site.url}/jobs/*/")
    second = context.new_page()
    second.goto(first.url)
    first.get_by_role("button", name="Start", exact=True).click()
    second.get_by_role("button", name="Start", exact=True).click()
    expect(second.locator("#run-header")).to_contain_text("step", timeout=30_000)

    jobs = site.manage("jobs")
    assert len(jobs) == before + 1
    site.wait_for_status(jobs[0]["id"], "running")  # it may stand in line behind the samples
    assert len(list(Path(site.home).glob(f"runs/{jobs[0]['uuid']}/*"))) == 1


def test_a_run_is_stopped_after_one_question_and_leaves_nothing_alive(
    page: Page, site: Site
) -> None:
    job = next(job for job in site.manage("jobs") if job["name"] == "pressed twice")
    site.wait_for_status(job["id"], "running")
    listed, row = page.context.new_page(), f"tr:has(#tick-{job['id']})"
    listed.goto(f"{site.url}/jobs/")
    listed.locator(f"#tick-{job['id']}").check()
    page.goto(f"{site.url}/jobs/{job['id']}/")
    page.locator("#stop-button").click()
    dialog = page.locator("#stop-dialog")
    expect(dialog).to_contain_text("not save")
    dialog.get_by_role("button", name="Stop the run").click()

    ended = site.wait_for_status(job["id"], "stopped", "failed", "lost", within=60)
    assert ended["status"] == "stopped"
    expect(page.locator("#run-header")).to_contain_text("Stopped", timeout=30_000)
    wait_for(lambda: not alive_in(Path(ended["run_dir"])), "its processes to be gone", 10)

    expect(listed.locator(row)).to_contain_text("Stopped")  # the list has heard of it by itself
    expect(listed.locator(f"#tick-{job['id']}")).to_be_checked()
    listed.get_by_role("button", name="Delete", exact=True).click()
    if (sure := listed.get_by_label("Delete though warnings")).count():
        sure.check()
    listed.locator("main").get_by_role("button", name="Delete").click()
    expect(listed.locator("#jobs-table")).to_be_visible()
    expect(listed.locator(row)).to_have_count(0, timeout=60_000)
    assert not Path(ended["run_dir"]).parent.exists()


def alive_in(run_dir: Path) -> list[int]:
    """Processes that work in a run directory or name it in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            argv = (process / "cmdline").read_bytes().decode(errors="replace")
            folder = str((process / "cwd").readlink())
        except OSError:
            continue
        if str(run_dir) in argv or folder.startswith(str(run_dir)):
            found.append(int(process.name))
    return found


def test_a_hostile_name_shows_as_written_and_harms_nothing(page: Page, site: Site) -> None:
    name = "x'; touch pwned # <b>${oc.env:HOME}</b> ../../up"
    page.goto(f"{site.url}/jobs/new/sample-sft/")
    page.fill("[name=name]", name)
    page.get_by_role("button", name="Save as draft").click()
    page.wait_for_url(f"{site.url}/jobs/*/")

    expect(page.locator("h1")).to_have_text(name)
    page.get_by_role("button", name="Start", exact=True).click()
    job = site.manage("jobs")[0]
    assert job["name"] == name
    site.wait_for_status(job["id"], "running")
    site.manage("stop", str(job["id"]))
    site.wait_for_status(job["id"], "stopped", within=60)
    assert not list(Path(site.home).rglob("pwned"))
