"""How long the page of a step with 100,000 answers takes, by the clock and of a core."""

import random
import shutil
import time
from pathlib import Path

import orjson
from playwright.sync_api import APIRequestContext, sync_playwright

from jobs.models import Job, Status
from jobs.places import mirror_folder
from monitoring.answers.kept import step_of
from monitoring.answers.prompts import page_of
from monitoring.answers.question import Question
from tests.bench.home import percentile
from tests.bench.start import end_all, signed_in
from tests.e2e.site import Site

PROMPTS, EACH = 12_500, 8
TIMES = 15
WORDS = ("so", "then", "the", "answer", "is", "seven", "caf\u00e9", "\\\\(x^2\\\\)")


def measure(site: Site) -> dict[str, float]:
    site.start()
    try:
        end_all(site)
        job = Job.objects.filter(kind="grpo").order_by("pk")[0]
        Job.objects.filter(pk=job.pk).update(status=Status.COMPLETED, attempt=1)
        job.refresh_from_db()
        path = Path(job.run_dir) / "rollouts/1000000.jsonl"  # the newest step, whatever it did
        megabytes = make(path) / 1e6
        with sync_playwright() as playwright:
            web = playwright.request.new_context(base_url=site.url, storage_state=signed_in())
            figures = measured(web, job, path)
    finally:
        site.stop()
    return {"file [MB]": megabytes, **figures}


def make(path: Path) -> int:
    """Write answers of sixty words to prompts of thirty; returns the bytes."""
    chance = random.Random(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for _ in range(PROMPTS):
            uid, prompt = f"{chance.getrandbits(128):032x}", " ".join(chance.choices(WORDS, k=30))
            for number in range(EACH):
                row = {
                    "input": prompt, "output": " ".join(chance.choices(WORDS, k=60)), "gts": "7",
                    "score": chance.random(), "step": 1, "acc": 0.0, "uid": f"{uid}_{number}_0",
                }  # fmt: skip
                file.write(orjson.dumps(row) + b"\n")
    return path.stat().st_size


def measured(web: APIRequestContext, job: Job, path: Path) -> dict[str, float]:
    url = f"/jobs/{job.pk}/answers/"
    key = page_of(step_of(path), Question(page=250)).prompts[0].key
    asked = {
        "the first page": "",
        "sorted by deviation": "?sort=-deviation",
        "answers by advantage": "?of=answers&sort=-advantage",
        "answers that are wrong": "?of=answers&only=wrong",
        "text": "?q=answer+seven",
        "a regular expression": "?q=so+then+(is|the)+answer&regex=on",
        "a prompt with its answers": f"?prompt={key}",
        "answers by repetition": "?of=answers&sort=-repetition",
    }
    figures = {}
    looks = []
    for _ in range(3):
        shutil.rmtree(mirror_folder(job.uuid), ignore_errors=True)
        looks.append(timed(web, url))
    figures["nobody looked before, the columns are made: median [ms]"] = percentile(
        sorted(looks), 0.5
    )
    for what, query in asked.items():
        took = sorted(timed(web, url + query) for _ in range(TIMES))
        figures[f"{what}: median [ms]"] = percentile(took, 0.5)
        figures[f"{what}: 95 % [ms]"] = percentile(took, 0.95)
    began = time.process_time()
    step_of(path)
    return figures | {"reading the step, of a core [ms]": (time.process_time() - began) * 1000}


def timed(web: APIRequestContext, url: str) -> float:
    began = time.perf_counter()
    answer = web.get(url)
    took = time.perf_counter() - began
    assert answer.ok, answer.text()
    return took * 1000
