"""The queue in a real browser: dragging, buttons by keyboard, and a page that keeps up."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Position, Route, expect

from tests.e2e.site import Site, wait_for

pytestmark = pytest.mark.e2e
SFT = 1
TOP, FOOT = Position(x=200, y=3), Position(x=200, y=30)
COUNT_LOOKS = """() => {
  window.looks = 0;
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "queue-poll") window.looks += 1;
  });
}"""

CHOOSE_AFTER_SWAP = """(id) => {
  document.addEventListener("htmx:afterSwap", () => setTimeout(() => {
    const select = document.getElementById(id);
    select.value = "low";
    select.dispatchEvent(new Event("change", {bubbles: true}));
  }), {once: true});
}"""


@pytest.fixture(scope="module")
def waiting(site: Site) -> list[int]:
    """Three jobs that wait for a draft, which nobody starts."""
    draft = site.manage("clone", str(SFT))["id"]
    argv = ("submit", "sample-sft", "--set", f"after={draft}", "--name")
    return [site.manage(*argv, f"wait {n}")["id"] for n in range(3)]


def line(site: Site, among: list[int]) -> list[int]:
    [queue] = site.manage("queue", "--machine", "this machine")
    return [row["id"] for row in queue["waiting"] if row["id"] in among]


def row(page: Page, job: int) -> str:
    return f'[data-queue-row="{job}"]'


def test_a_job_is_dragged_to_another_place(
    page: Page, site: Site, waiting: list[int], complaints: list[str]
) -> None:
    a, b, c = waiting
    page.goto(f"{site.url}/queue/")
    page.drag_and_drop(f"{row(page, c)} [data-queue-grip]", row(page, a), target_position=TOP)
    wait_for(lambda: line(site, waiting) == [c, a, b], "the job at the head")
    page.drag_and_drop(f"{row(page, c)} [data-queue-grip]", row(page, a), target_position=FOOT)
    wait_for(lambda: line(site, waiting) == [a, c, b], "the job behind the next")
    page.drag_and_drop(f"{row(page, c)} [data-queue-grip]", row(page, b), target_position=FOOT)
    wait_for(lambda: line(site, waiting) == [a, b, c], "the job at the end again")
    assert complaints == []


def test_buttons_keep_the_focus(page: Page, site: Site, waiting: list[int]) -> None:
    a, b, c = waiting
    page.goto(f"{site.url}/queue/")
    page.locator(f"#up-{c}").focus()
    for _ in range(2):
        page.keyboard.press("Enter")
        page.wait_for_load_state("networkidle")
    wait_for(lambda: line(site, waiting) == [c, a, b], "the job at the head")
    expect(page.locator(f"#up-{c}")).to_be_focused()
    page.locator(f"#down-{c}").press("Enter")
    wait_for(lambda: line(site, waiting) == [a, c, b], "the job one place down")
    page.locator(f"#down-{c}").press("Enter")
    wait_for(lambda: line(site, waiting) == [a, b, c], "the job at its own place")


def test_the_page_shows_what_others_do(
    page: Page, site: Site, waiting: list[int], complaints: list[str]
) -> None:
    first = waiting[0]
    page.goto(f"{site.url}/queue/")
    page.evaluate("window.neverReloaded = true")
    site.manage("hold", str(first), "--why", "by hand")
    expect(page.locator(row(page, first))).to_contain_text("Held by admin: by hand.")
    page.locator(f"#hold-{first}").click()
    expect(page.locator(row(page, first))).to_contain_text("which is draft")
    page.locator(f"#hold-{first}").click()
    page.locator(f"{row(page, first)} [name=why]").fill("typed at ease")
    site.manage("priority", str(waiting[1]), "low")
    page.evaluate(COUNT_LOOKS)
    wait_for(lambda: page.evaluate("window.looks") > 1, "looks, which are held back")
    expect(page.locator(f"{row(page, first)} [name=why]")).to_have_value("typed at ease")
    page.keyboard.press("Enter")
    expect(page.locator(row(page, first))).to_contain_text("Held by admin: typed at ease.")
    expect(page.locator(f"#priority-{waiting[1]}")).to_have_value("low")
    page.locator(f"#priority-{waiting[1]}").select_option("normal")
    expect(page.locator("#queue-poll")).to_have_count(1)
    wait_for(lambda: site.job(waiting[1])["priority"] == "normal", "the priority")
    assert page.evaluate("window.neverReloaded") is True
    assert complaints == []


def test_what_was_just_swapped_in_answers_at_once(
    page: Page, site: Site, waiting: list[int]
) -> None:
    page.goto(f"{site.url}/queue/")
    page.evaluate(CHOOSE_AFTER_SWAP, f"priority-{waiting[1]}")
    page.locator(f"#down-{waiting[0]}").click()
    wait_for(lambda: site.job(waiting[1])["priority"] == "low", "the priority")
    page.locator(f"#priority-{waiting[1]}").select_option("normal")
    wait_for(lambda: site.job(waiting[1])["priority"] == "normal", "the priority again")


def test_a_look_and_an_answer_do_not_cross(
    page: Page, site: Site, waiting: list[int], complaints: list[str]
) -> None:
    """Whichever is slow: a look between would take away the form that awaits its answer."""
    a, b, c = line(site, waiting)
    page.goto(f"{site.url}/queue/")
    page.evaluate(COUNT_LOOKS)
    move = hold(page, "**/move/")
    page.locator(f"#up-{b}").click()
    page.wait_for_function("() => window.looks > 1")
    move().continue_()
    wait_for(lambda: line(site, waiting) == [b, a, c], "the job one place up")
    expect(page.locator(f"{row(page, b)} + {row(page, a)}")).to_have_count(1)
    look = hold(page, "**/queue/?*stamp=*")()
    move = hold(page, "**/move/")
    site.manage("hold", str(c))  # so that the look has news
    page.locator(f"#up-{a}").click()
    with page.expect_response("**/queue/?*stamp=*"):
        look.continue_()
    move().continue_()
    wait_for(lambda: line(site, waiting) == [a, b, c], "the job at its own place")
    expect(page.locator(f"{row(page, a)} + {row(page, b)}")).to_have_count(1)
    expect(page.locator(row(page, c))).to_contain_text("Held by admin")
    site.manage("release", str(c))
    assert complaints == []


def hold(page: Page, url: str) -> Callable[[], Route]:
    """Keep the next request for this address; the answer waits for it and hands it out."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        if held:
            route.fallback()
        else:
            held.append(route)

    def handed_out() -> Route:
        wait_for(lambda: bool(page.evaluate("1") and held), f"a request for {url}")
        return held[0]

    page.route(url, keep)
    return handed_out


def test_anothers_change_that_was_too_late_is_said(
    page: Page, site: Site, waiting: list[int]
) -> None:
    last = waiting[2]
    page.goto(f"{site.url}/queue/")
    page.locator(f"#hold-{waiting[1]}").click()  # what is open holds back the next look
    site.manage("stop", str(last))
    page.locator(f"#up-{last}").click()
    expect(page.locator("#toasts")).to_contain_text(f"Job {last} is stopped: it is not waiting.")
    expect(page.locator(row(page, last))).to_have_count(0)
    expect(page.locator("#toast-template")).to_have_count(1)
