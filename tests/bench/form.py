"""How long the form of a new job takes to answer, whole and at each key that is pressed."""

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import APIRequestContext, APIResponse, sync_playwright

from datasets.models import Dataset, Version
from jobs.models import Job
from jobs.order.forms import form_data
from jobs.verl.recipes import all_recipes
from tests.bench.home import percentile
from tests.bench.start import end_all, signed_in
from tests.e2e.site import Site

RECIPE = "sample-grpo"
TIMES = 40
VERSIONS, JOBS = 40, 300  # a home that was used for some weeks


def measure(site: Site) -> dict[str, float]:
    site.start()
    try:
        end_all(site)
        fill()
        with sync_playwright() as playwright:
            web = playwright.request.new_context(base_url=site.url, storage_state=signed_in())
            figures = measured(site, web)
    finally:
        site.stop()
    return figures


def fill() -> None:
    """Versions to choose from, and waiting jobs to start after."""
    [first] = Job.objects.order_by("pk")[:1]
    for number in range(VERSIONS):
        dataset = Dataset.objects.create(name=f"bench {number}", owner=first.owner)
        Version.objects.create(
            dataset=dataset, number=1, target="rl", state="done", rows_train=2048, rows_val=256,
            train_file=f"/data/{number}/train.parquet", val_file=f"/data/{number}/val.parquet",
        )  # fmt: skip
    fields = {name: getattr(first, name) for name in ("kind", "recipe", "spec", "machine", "owner")}
    Job.objects.bulk_create(Job(**fields, name=f"bench {n}", status="draft") for n in range(JOBS))


def measured(site: Site, web: APIRequestContext) -> dict[str, float]:
    page, preview = f"/jobs/new/{RECIPE}/", f"/jobs/new/{RECIPE}/preview/"
    form = {name: str(value) for name, value in form_data(all_recipes()[RECIPE], "", []).items()}
    web.get(page)
    token = next(c["value"] for c in web.storage_state()["cookies"] if c["name"].endswith("-csrf"))
    headers = {"Referer": site.url, "HX-Request": "true"}

    def typed(**changes: str) -> Callable[[], APIResponse]:
        data: dict[str, Any] = {**form, **changes, "csrfmiddlewaretoken": token}
        return lambda: web.post(preview, form=data, headers=headers)

    asked = {
        "the whole form": lambda: web.get(page),
        "a key is pressed": typed(),
        "a key is pressed, with an error": typed(lr="abc", micro_batch_size="7"),
    }
    figures = {}
    for what, ask in asked.items():
        took = sorted(timed(ask) for _ in range(TIMES))
        figures[f"{what}: median [ms]"] = percentile(took, 0.5)
        figures[f"{what}: 95 % [ms]"] = percentile(took, 0.95)
    return figures


def timed(ask: Callable[[], APIResponse]) -> float:
    began = time.perf_counter()
    answer = ask()
    took = time.perf_counter() - began
    assert answer.ok, answer.text()
    return took * 1000
