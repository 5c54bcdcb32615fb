"""How soon the page of a run with 2 M points is there, in a real Chromium."""

from statistics import median
from typing import Any

from playwright.sync_api import BrowserContext, sync_playwright

from jobs.models import Job
from tests.bench.home import cookie, cookie_name
from tests.e2e.conftest import ARGS, CHROMIUM
from tests.e2e.site import Site

TIMES = 5
PINNED = '[data-chart-group="Key metrics"] [data-series]'
# Called once all pinned charts that are in view have drawn; milliseconds since the navigation.
DRAWN = f"""() => new Promise((done) => {{
  const look = () => {{
    const cards = [...document.querySelectorAll('{PINNED}')];
    const inView = cards.filter((card) => card.getBoundingClientRect().top < innerHeight);
    if (inView.length && inView.every((card) => card.querySelector("canvas"))) {{
      const [paint] = performance.getEntriesByName("first-contentful-paint");
      const tell = () => done([paint.startTime, performance.now(), inView.length]);
      requestAnimationFrame(tell);
    }} else setTimeout(look, 5);
  }};
  look();
}})"""


def measure(site: Site, job: Job) -> dict[str, float]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = browser.new_context(viewport={"width": 1280, "height": 1600})
        context.add_cookies([{"name": cookie_name(), "value": cookie(), "url": site.url}])
        looks = [open_page(context, f"{site.url}/jobs/{job.pk}/") for _ in range(TIMES)]
        browser.close()
    return {
        "page of 2 M points: first paint, median [s] (under 1)": median(p for p, _, _ in looks),
        "  its pinned charts drawn, median [s] (under 1)": median(d for _, d, _ in looks),
        "  pinned charts in view": looks[0][2],
    }


def open_page(context: BrowserContext, url: str) -> tuple[float, float, float]:
    page = context.new_page()
    page.goto(url, wait_until="commit")
    paint, drawn, count = page.evaluate(DRAWN)
    page.close()
    return to_seconds(paint), to_seconds(drawn), float(count)


def to_seconds(milliseconds: Any) -> float:
    return float(milliseconds) / 1000
