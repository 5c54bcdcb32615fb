"""Surgery in a real browser: two checkpoints become one model, and that the model of a new job."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import looks
from tests.e2e.site import Site

pytestmark = pytest.mark.e2e
SFT = 1


@pytest.fixture
def saved(site: Site) -> list[dict[str, Any]]:
    """The two checkpoints of the sample run, which has models in them."""
    site.wait_for_status(SFT, "completed", within=600)
    rows: list[dict[str, Any]] = site.manage("checkpoints", str(SFT))
    return sorted((row for row in rows if row["step"]), key=lambda row: int(row["step"]))


def test_two_checkpoints_become_the_model_of_a_new_job(
    page: Page, site: Site, saved: list[dict[str, Any]], complaints: list[str]
) -> None:
    paths = [f"{row['folder']}/huggingface" for row in saved]
    page.goto(f"{site.url}/surgery/new/")
    page.get_by_label("Method", exact=True).select_option("linear")
    page.get_by_label("Models by path").fill("\n".join(paths))
    page.get_by_label("Parameters").fill("weight: [0.25, 0.75]")
    page.get_by_role("button", name="Write the recipe").click()
    expect(page.get_by_label("Recipe", exact=True)).to_have_value(re.compile(re.escape(paths[1])))
    page.get_by_label("Name", exact=True).fill("both steps")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("main")).to_contain_text("Nothing that can be known before the start")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    number = int(page.url.rstrip("/").rpartition("/")[2])

    # Its page changes by itself, from the line to the end.
    site.wait_for_status(number, "completed", "failed", "lost", within=600)
    expect(page.locator("#run-header")).to_contain_text("Completed", timeout=60_000)
    expect(page.locator("#run-header")).to_contain_text("The model is made: ")
    expect(page.locator("[data-log-text]")).not_to_be_empty()

    made = site.manage("checkpoints", str(number))
    assert [row["states"] for row in made] == [["Hugging Face", "merged"]]
    page.goto(f"{site.url}/surgery/checkpoints/{SFT}/?only=made")
    page.get_by_role("link", name="both steps", exact=True).click()
    page.get_by_role("link", name="Show its lineage").click()
    drawing = page.get_by_role("region", name="Lineage")
    expect(drawing).to_be_visible()
    names = ("Sample: SFT on the CPU", "checkpoint of step 32", "both steps", "model")
    shown = [text.strip() for text in drawing.locator("text").all_text_contents()]
    assert set(names) <= set(shown)
    assert looks.faults(page) == []

    page.goto(f"{site.url}/surgery/checkpoints/{SFT}/?only=made")
    page.get_by_role("link", name=re.compile("Train on it.*both steps")).click()
    expect(page.locator("[name=model_path]")).to_have_value(made[0]["folder"])
    expect(page.locator("#preview-command")).to_contain_text(made[0]["folder"])
    assert complaints == []


def test_those_that_are_ticked_are_averaged(
    page: Page, site: Site, saved: list[dict[str, Any]], complaints: list[str]
) -> None:
    page.goto(f"{site.url}/surgery/checkpoints/{SFT}/?only=saved")
    for row in saved:
        page.get_by_label(f"Tick the checkpoint of step {row['step']}").check()
    page.get_by_role("button", name="Average the ticked ones").click()
    chosen = page.get_by_label("Models", exact=True)
    expect(chosen).to_have_values([row["folder"] for row in reversed(saved)])
    page.get_by_label("Name", exact=True).fill("the average")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile(r"/jobs/\d+/$"))
    number = int(page.url.rstrip("/").rpartition("/")[2])
    done = site.wait_for_status(number, "completed", "failed", "lost", within=600)
    assert done["status"] == "completed", done["reason"]
    page.goto(f"{site.url}/surgery/checkpoints/{SFT}/?only=made")
    expect(page.get_by_role("row", name="the average")).to_contain_text("Hugging Face, averaged")
    assert looks.faults(page) == []
    assert complaints == []
