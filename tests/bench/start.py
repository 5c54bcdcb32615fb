"""From pressing Start to a started process, through the web, the queue and the wrapper."""

import json
import time
from pathlib import Path

from playwright.sync_api import APIRequestContext, StorageState, sync_playwright

from jobs.models import Job
from jobs.order.forms import form_data
from jobs.verl.recipes import all_recipes
from tests.bench.home import cookie, cookie_name, percentile
from tests.e2e.site import Site, wait_for

TIMES = 10


def measure(site: Site) -> dict[str, float]:
    site.start()
    try:
        end_all(site)
        with sync_playwright() as playwright:
            web = playwright.request.new_context(base_url=site.url, storage_state=signed_in())
            delays = [once(site, web) for _ in range(TIMES)]
    finally:
        site.stop()
    return {
        "submit to process started: median [s]": percentile(delays, 0.5),
        "submit to process started: worst [s]": max(delays),
    }


def signed_in() -> StorageState:
    name, value = cookie_name(), cookie()
    return {
        "cookies": [
            {
                "name": name, "value": value, "domain": "127.0.0.1", "path": "/", "expires": -1,
                "httpOnly": True, "secure": False, "sameSite": "Lax",
            }
        ],
        "origins": [],
    }  # fmt: skip


def once(site: Site, web: APIRequestContext) -> float:
    """Send the form as a browser does, and read from the run when its process was started."""
    form = {
        name: str(value) for name, value in form_data(all_recipes()["sample-sft"], "", []).items()
    }
    web.get("/jobs/new/sample-sft/")
    token = next(c["value"] for c in web.storage_state()["cookies"] if c["name"].endswith("-csrf"))
    sent = time.time()
    answer = web.post(
        "/jobs/new/sample-sft/",
        form={**form, "action": "start", "csrfmiddlewaretoken": token},
        headers={"Referer": site.url},
    )
    assert answer.ok, answer.text()
    job = Job.objects.get(uuid=form["uuid"])
    events = Path(job.run_dir) / "events.jsonl"
    wait_for(lambda: events.exists() and '"started"' in events.read_text(), "the start", 30, 0.05)
    first = json.loads(events.read_text().splitlines()[0])
    end(site, job.pk)
    return float(first["at"]) - sent


def end_all(site: Site) -> None:
    """End the sample runs that a first start submits."""
    for job in Job.objects.order_by("-pk"):
        end(site, job.pk)


def end(site: Site, pk: int) -> None:
    if not Job.objects.get(pk=pk).has_ended:
        site.manage("stop", str(pk))
    wait_for(lambda: Job.objects.get(pk=pk).has_ended, f"job {pk} to end", 90)
