"""How long it takes to open and to search a log of one gigabyte, by the clock."""

import time
from pathlib import Path

from playwright.sync_api import APIRequestContext, sync_playwright

from jobs.models import Job, Status
from monitoring.logs.question import Question
from monitoring.logs.search import Stretch, search
from tests.bench.answers import timed
from tests.bench.home import percentile
from tests.bench.start import end_all, signed_in
from tests.e2e.site import Site

SIZE = 10**9
TIMES = 9
# A step as verl, Ray and vLLM write it, coloured, with a progress bar.
STEP = (
    "\x1b[36m(TaskRunner pid=4242)\x1b[0m step:{0} - critic/score/mean:0.4375 - "
    "actor/entropy:0.8123 - actor/grad_norm:0.1912 - response_length/mean:212.5 - "
    "timing_s/step:12.25 - perf/throughput:1432.1\n"
    "\x1b[36m(WorkerDict pid=4300)\x1b[0m INFO 11-29 18:02:30 [core.py:58] memory {0}: 41.2 GiB\n"
    "Training:  10%|#    | {0}/9000\rTraining: 100%|#####| {0}/9000\n"
)
QUESTIONS = {
    "words": Question(words="no such words"),
    "a regular expression": Question(words=r"score/mean:0\.9\d+ .*norm:9", is_regex=True),
    "a hostile one": Question(words=r"(.*a){8}(.*b){8}Q", is_regex=True),
    "errors": Question(level="error"),
    "an actor and a level": Question(words="nothing", level="warning", actor="WorkerDict"),
}


def measure(site: Site) -> dict[str, float]:
    site.start()
    try:
        end_all(site)
        job = Job.objects.filter(kind="grpo").order_by("pk")[0]
        Job.objects.filter(pk=job.pk).update(status=Status.COMPLETED, attempt=1)
        job.refresh_from_db()
        path = Path(job.run_dir) / "train.log"
        with sync_playwright() as playwright:
            web = playwright.request.new_context(base_url=site.url, storage_state=signed_in())
            small = opened(web, job)
            make(path)
            figures = {
                "opened, as it was: median [ms]": small,
                "opened, 1 GB: median [ms]": opened(web, job),
            }
            figures |= on_the_page(web, job)
        figures |= {
            f"the whole of 1 GB, {name} [s]": whole(path, q) for name, q in QUESTIONS.items()
        }
        path.unlink()
        return figures
    finally:
        site.stop()


def make(path: Path) -> None:
    size = number = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        while size < SIZE:
            block = "".join(STEP.format(at) for at in range(number, number + 10_000))
            size, number = size + len(block), number + 10_000
            file.write(block)
        file.write("[rank0]: ValueError: at the very end\n")


def opened(web: APIRequestContext, job: Job) -> float:
    took = sorted(timed(web, f"/jobs/{job.pk}/") for _ in range(TIMES))
    return percentile(took, 0.5)


def on_the_page(web: APIRequestContext, job: Job) -> dict[str, float]:
    """What htmx asks for: the first stretch, which is shown at once."""
    url = f"/jobs/{job.pk}/log/search/"
    began = time.perf_counter()
    answer = web.get(f"{url}?q=throughput", headers={"HX-Request": "true"})
    first = time.perf_counter() - began
    assert "<mark>throughput</mark>" in answer.text()
    began = time.perf_counter()
    assert "at the very end" in web.get(f"{url}?first").text()
    return {
        "first hits shown [ms]": first * 1000,
        "the first error, at the end, shown [s]": time.perf_counter() - began,
    }


def whole(path: Path, question: Question) -> float:
    began, part = time.perf_counter(), Stretch(0, 1, 0, False)
    while not part.is_whole:
        part = search(path, question, start=part.end, line=part.line, most=1000, seconds=2)
    return time.perf_counter() - began
