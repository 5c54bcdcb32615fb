"""The list of 10,000 runs, filtered and sorted, and 50 runs of 10,000 points over each other."""

import random
from statistics import median
from urllib.parse import urlencode

import numpy as np
from django.contrib.auth.models import User
from django.db import connection
from playwright.sync_api import BrowserContext, sync_playwright

from compute.models import Machine
from jobs.models import Job, Status
from monitoring.models import Series
from monitoring.series.column import Column
from monitoring.series.frame import frame_of
from monitoring.store import points
from tests import factories
from tests.bench.home import cookie, cookie_name
from tests.bench.metrics import TIMES, served
from tests.bench.paint import to_seconds
from tests.e2e.conftest import ARGS, CHROMIUM
from tests.e2e.site import Site

LISTED, RUNS, STEPS = 10_000, 50, 10_000
SCORE = "val-core/gsm8k/reward/mean@1"
OTHERS = tuple(f"actor/metric_{n}" for n in range(18))
OVERLAID = ("critic/score/mean", "actor/entropy", SCORE)
LISTS: dict[str, dict[str, object]] = {
    "plain": {},
    "with a score, its best and two knobs as columns": {
        "column": [f"{SCORE}:last", f"{SCORE}:best", "lr", "rollout_n"]
    },
    "sorted by the last score": {"sort": f"-{SCORE}:last"},
    "sorted by a knob": {"sort": "lr"},
    "algorithm = grpo and lr < 1e-5 and val-core > 0.4": {
        "where": "algorithm = grpo and lr < 1e-5 and val-core > 0.4"
    },
    "best(val-core) > 0.9 or not name ~ 7, sorted by the score": {
        "where": "best(val-core) > 0.9 or not name ~ 7", "sort": f"{SCORE}:best"
    },
}  # fmt: skip
# Called once all charts in view have drawn; milliseconds since the navigation. Places are asked for
# only once a chart is drawn: each time the page would be laid out for it.
DRAWN = """() => new Promise((done) => {
  const isDrawn = (card) => card.querySelector("canvas");
  const look = () => {
    const all = [...document.querySelectorAll("[data-overlay]")];
    const isInView = (card) => card.getBoundingClientRect().top < innerHeight;
    const cards = all.some(isDrawn) ? all.filter(isInView) : [];
    if (cards.length && cards.every(isDrawn)) {
      requestAnimationFrame(() => done([performance.now(), cards.length]));
    } else setTimeout(look, 5);
  };
  look();
})"""


def measure(site: Site) -> dict[str, float]:
    site.start("--no-samples")
    try:
        make_listed()
        figures = {f"10,000 runs, {what} [ms] (under 150)": took(site, query)
                   for what, query in LISTS.items()}  # fmt: skip
        return figures | overlaid(site, make_overlaid())
    finally:
        site.stop()


def took(site: Site, query: dict[str, object]) -> float:
    return 1000 * served(site, f"/jobs/?{urlencode(query, doseq=True)}")[0]


def make_listed() -> None:
    owner, chance = User.objects.get(username="admin"), random.Random(2)
    machine = Machine.objects.get(kind=Machine.Kind.LOCAL)
    specs = [factories.grpo_spec(lr=lr).to_json() for lr in (1e-4, 1e-5, 3e-6, 1e-6)]
    jobs = Job.objects.bulk_create(
        Job(
            name=f"listed {n}", kind="grpo" if n % 3 else "gspo", machine=machine, owner=owner,
            spec=specs[n % 4], steps=100, status=Status.COMPLETED,
        )
        for n in range(LISTED)
    )  # fmt: skip
    for name in (SCORE, "train/loss", *OTHERS):  # a transaction each: the watcher writes beside
        Series.objects.bulk_create(
            Series(
                job=job, name=name, last_step=100, last_value=chance.random(), low=chance.random(),
                high=chance.random(), count=100,
            )
            for job in jobs
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def make_overlaid() -> list[Job]:
    owner = User.objects.get(username="admin")
    jobs = []
    for seed in range(RUNS):
        spec = factories.grpo_spec(lr=(seed % 5 + 1) * 1e-6).to_json()
        job = factories.make_job(owner, kind="grpo", status=Status.STOPPED, spec=spec)
        steps = np.arange(1, STEPS + 1, dtype=np.int64)
        values = np.random.default_rng(seed).normal(size=(STEPS, len(OVERLAID))).cumsum(axis=0)
        points.append(
            job,
            [frame_of(OVERLAID, steps, values)],
            Column(steps, (1e9 + 20 * steps).astype(np.float64)),
        )
        points.settle(job)  # as the watcher does where a run has ended
        jobs.append(job)
    return jobs


def overlaid(site: Site, jobs: list[Job]) -> dict[str, float]:
    runs = urlencode({"job": [job.pk for job in jobs]}, doseq=True)
    query = f"{runs}&{urlencode({'metric': OVERLAID}, doseq=True)}"
    chart = f"/jobs/compare/points/?{runs}&{urlencode({'metric': OVERLAID[0]})}&width=600"
    page = served(site, f"/jobs/compare/?{query}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = browser.new_context(viewport={"width": 1600, "height": 1000})
        context.add_cookies([{"name": cookie_name(), "value": cookie(), "url": site.url}])
        looks = [look(context, f"{site.url}/jobs/compare/?{query}") for _ in range(TIMES)]
        browser.close()
    return {
        "50 runs x 10,000 points, 3 charts painted, median [s] (under 1)": median(
            seconds for seconds, _ in looks
        ),
        "  charts in view": looks[0][1],
        "  the page, served [ms]": 1000 * page[0],
        "  one chart, served [ms]": 1000 * served(site, chart)[0],
        "  one chart by hours, smoothed [ms]": 1000 * served(site, f"{chart}&x=time&smooth=90")[0],
        "  one chart grouped by a knob [ms]": 1000 * served(site, f"{chart}&group=lr")[0],
        "  bytes of one chart [kB]": served(site, chart)[1] / 1e3,
    }


def look(context: BrowserContext, url: str) -> tuple[float, float]:
    page = context.new_page()
    page.goto(url, wait_until="commit")
    drawn, count = page.evaluate(DRAWN)
    page.close()
    return to_seconds(drawn), float(count)
