"""How long the page of a step with 100,000 answers takes, by the clock and of a core, and that of
two such steps of two runs."""

import random
import shutil
import time
from pathlib import Path
from uuid import uuid4

import orjson
from playwright.sync_api import APIRequestContext, sync_playwright

from jobs.models import Job, Status
from jobs.places import mirror_folder
from monitoring.answers.kept import step_of
from monitoring.answers.prompts import page_of
from monitoring.answers.question import Question
from monitoring.answers.step import key_text
from tests.bench.home import percentile
from tests.bench.start import end_all, signed_in
from tests.e2e.site import Site

PROMPTS, EACH = 12_500, 8
TIMES = 15
NEWEST = "rollouts/1000000.jsonl"  # whatever the run did
WORDS = ("so", "then", "the", "answer", "is", "seven", "caf\u00e9", "\\\\(x^2\\\\)")


def measure(site: Site) -> dict[str, float]:
    site.start()
    try:
        end_all(site)
        job = Job.objects.filter(kind="grpo").order_by("pk")[0]
        Job.objects.filter(pk=job.pk).update(status=Status.COMPLETED, attempt=1)
        job.refresh_from_db()
        path = Path(job.run_dir) / NEWEST
        megabytes = make(path) / 1e6
        other = twin_of(job)
        make(Path(other.run_dir) / NEWEST, seed=2)
        with sync_playwright() as playwright:
            web = playwright.request.new_context(base_url=site.url, storage_state=signed_in())
            figures = measured(web, job, path) | beside(web, job, other)
    finally:
        site.stop()
    return {"file [MB]": megabytes, **figures}


def twin_of(job: Job) -> Job:
    """Another run of the same owner."""
    other = Job.objects.get(pk=job.pk)
    other.pk, other.uuid, other.name = None, uuid4(), f"{job.name} again"
    other.save(force_insert=True)
    return other


def make(path: Path, seed: int = 1) -> int:
    """Write answers of sixty words to prompts of thirty, which are the same with any seed; returns
    the bytes."""
    asks, chance = random.Random(1), random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for _ in range(PROMPTS):
            uid, prompt = f"{chance.getrandbits(128):032x}", " ".join(asks.choices(WORDS, k=30))
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
    figures["nobody looked before, the columns are made: median [ms]"] = first_looks(web, url, job)
    for what, query in asked.items():
        figures |= spread(web, what, url + query)
    began = time.process_time()
    step_of(path)
    return figures | {"reading the step, of a core [ms]": (time.process_time() - began) * 1000}


def beside(web: APIRequestContext, *jobs: Job) -> dict[str, float]:
    """The answers of two runs to the same prompts."""
    url = "/jobs/compare/answers/?" + "".join(f"job={job.pk}&" for job in jobs) + "kind=rollouts"
    mark = key_text(step_of(Path(jobs[0].run_dir) / NEWEST).texts[0])
    asked = {
        "the first page": "",
        "the most worse": "&sort=change",
        "those that got better, the last page": "&only=better&sort=mean:2&page=9999",
        "text": "&q=answer+seven",
        "a regular expression": "&q=so+then+(is|the)+answer&regex=on",
        "a prompt with the answers of both": f"&prompt={mark}",
    }
    figures = {
        "two runs, nobody looked before: median [ms]": first_looks(web, url, *jobs),
    }
    for what, query in asked.items():
        figures |= spread(web, f"two runs, {what}", url + query)
    return figures


def first_looks(web: APIRequestContext, url: str, *jobs: Job) -> float:
    """The median of looks that make the columns first."""
    looks = []
    for _ in range(3):
        for job in jobs:
            shutil.rmtree(mirror_folder(job.uuid), ignore_errors=True)
        looks.append(timed(web, url))
    return percentile(sorted(looks), 0.5)


def spread(web: APIRequestContext, what: str, url: str) -> dict[str, float]:
    took = sorted(timed(web, url) for _ in range(TIMES))
    return {
        f"{what}: median [ms]": percentile(took, 0.5),
        f"{what}: 95 % [ms]": percentile(took, 0.95),
    }


def timed(web: APIRequestContext, url: str) -> float:
    began = time.perf_counter()
    answer = web.get(url)
    took = time.perf_counter() - began
    assert answer.ok, answer.text()
    return took * 1000
