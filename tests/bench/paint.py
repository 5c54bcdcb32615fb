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

# From the choice of a stretch until a chart has all its points; milliseconds.
ZOOMED = """([low, high]) => new Promise((done) => {
  const { plot } = [...document.querySelectorAll("[data-chart-plot]")].find((each) => each.plot);
  const began = performance.now();
  const within = () => plot.data[0].filter((step) => step >= low && step <= high).length;
  const isWhole = () => within() === high - low + 1;
  const look = () => (isWhole() ? done(performance.now() - began) : setTimeout(look, 1));
  window.trainyard.changeView({ range: [low, high] });
  look();
})"""
STRETCH = 400  # steps, of which a chart has shown but the extremes


def measure(site: Site, job: Job) -> dict[str, float]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = browser.new_context(viewport={"width": 1280, "height": 1600})
        context.add_cookies([{"name": cookie_name(), "value": cookie(), "url": site.url}])
        looks = [open_page(context, f"{site.url}/jobs/{job.pk}/") for _ in range(TIMES)]
        zooms = zoom_in(context, f"{site.url}/jobs/{job.pk}/")
        browser.close()
    return {
        "page of 2 M points: first paint, median [s] (under 1)": median(p for p, _, _ in looks),
        "  its pinned charts drawn, median [s] (under 1)": median(d for _, d, _ in looks),
        "  pinned charts in view": looks[0][2],
        "  zoom of all of them to every point, median [ms] (under 150)": median(zooms),
    }


def open_page(context: BrowserContext, url: str) -> tuple[float, float, float]:
    page = context.new_page()
    page.goto(url, wait_until="commit")
    paint, drawn, count = page.evaluate(DRAWN)
    page.close()
    return to_seconds(paint), to_seconds(drawn), float(count)


def zoom_in(context: BrowserContext, url: str) -> list[float]:
    """Into other steps each time: what was looked into is not asked for again."""
    page = context.new_page()
    page.goto(url, wait_until="commit")
    page.evaluate(DRAWN)
    lows = range(1000, 1000 + TIMES * 1000, 1000)
    found = [float(page.evaluate(ZOOMED, [low, low + STRETCH])) for low in lows]
    page.close()
    return found


def to_seconds(milliseconds: Any) -> float:
    return float(milliseconds) / 1000
