"""From a line in ``metrics.jsonl`` to the page: web and watcher as separate processes, no Redis.

A stand-in for a trainer appends lines as wide as a GRPO step's at random moments. One real browser
page and a number of websocket viewers note when they see each step.
"""

import asyncio
import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websockets
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import sync_playwright

from compute.machines.local import local_machine
from jobs.models import Job, Status
from tests.bench.home import cookie, cookie_name, percentile
from tests.e2e.conftest import ARGS, CHROMIUM
from tests.e2e.site import Site, wait_for

LINES = 100
WIDTH = 95  # metrics a line, as many as a GRPO step has
WATCH_STEPS = """() => {
  window.stepSeen = {};
  const read = () => {
    const text = document.querySelector('[data-series="bench/value"] [data-chart-read]');
    const found = /step (\\d+)/.exec(text ? text.textContent : "");
    if (found && !(found[1] in window.stepSeen)) window.stepSeen[found[1]] = Date.now() / 1000;
  };
  new MutationObserver(read).observe(document.body,
    {subtree: true, childList: true, characterData: true});
}"""


def measure(site: Site) -> dict[str, float]:
    site.start("--no-samples")
    try:
        figures: dict[str, float] = {}
        for viewers in (1, 20):
            page, sockets = watch(site, viewers)
            figures[f"{viewers} viewers: page p95 [s]"] = percentile(page, 0.95)
            figures[f"{viewers} viewers: page median [s]"] = percentile(page, 0.5)
            if sockets:
                figures[f"{viewers} viewers: sockets p95 [s]"] = percentile(sockets, 0.95)
        return figures
    finally:
        site.stop()


def watch(site: Site, viewers: int) -> tuple[list[float], list[float]]:
    """Delays in seconds: of the browser page, and of ``viewers - 1`` websockets beside it."""
    job, session, sent = make_job(), cookie(), dict[int, float]()
    folder = Path(job.run_dir)
    append(folder, 1, sent)
    with sockets(site, job, session, viewers - 1) as seen, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = browser.new_context()
        context.add_cookies([{"name": cookie_name(), "value": session, "url": site.url}])
        page = context.new_page()
        page.goto(f"{site.url}/jobs/{job.pk}/")
        page.locator('[data-series="bench/value"]').first.wait_for()
        page.evaluate(WATCH_STEPS)
        writer = threading.Thread(target=write, args=(folder, sent))
        writer.start()
        while writer.is_alive():
            page.wait_for_timeout(200)
        last = str(LINES)
        wait_for(lambda: bool(page.evaluate(f"'{last}' in window.stepSeen")), "the last step", 10)
        shown = {int(step): at for step, at in page.evaluate("window.stepSeen").items()}
        browser.close()
    Job.objects.filter(pk=job.pk).update(status=Status.STOPPED)
    # A page may show a later step first when two arrive together: then that is when it saw both.
    on_page = [first_at(shown, step) - at for step, at in sent.items() if step > 1]
    return on_page, [at - sent[step] for times in seen for step, at in times.items() if step > 1]


def first_at(shown: dict[int, float], step: int) -> float:
    return min(at for other, at in shown.items() if other >= step)


def make_job() -> Job:
    """A job that looks like one in training, without a process."""
    job = Job.objects.create(
        uuid=uuid.uuid4(), name="bench", kind="sft", recipe="sample-sft",
        spec={"values": {"device": "cpu"}, "overrides": []}, status=Status.RUNNING, steps=LINES,
        machine=local_machine(), owner=User.objects.get(username="admin"),
        started_at=timezone.now(),
    )  # fmt: skip
    Path(job.run_dir).mkdir(parents=True)
    return job


def append(folder: Path, step: int, sent: dict[int, float]) -> None:
    data = {f"bench/filler_{i}": random.random() for i in range(WIDTH - 1)}
    line = json.dumps({"step": step, "data": {"bench/value": 1 / step, **data}}) + "\n"
    (folder / "heartbeat").write_text(str(time.time()))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(line)
        file.flush()
        sent[step] = time.time()


def write(folder: Path, sent: dict[int, float]) -> None:
    for step in range(2, LINES + 1):
        time.sleep(random.uniform(0.2, 0.8))
        append(folder, step, sent)


@contextmanager
def sockets(site: Site, job: Job, session: str, count: int) -> Iterator[list[dict[int, float]]]:
    """Viewers beside the page, in a thread of their own; each notes when it saw which step."""
    seen: list[dict[int, float]] = [{} for _ in range(count)]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    views = [
        asyncio.run_coroutine_threadsafe(view(site, job.pk, session, times), loop) for times in seen
    ]
    try:
        yield seen
    finally:
        for one in views:
            one.cancel()
        asyncio.run_coroutine_threadsafe(ended(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def ended() -> None:
    """Wait until all other tasks of this loop have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


async def view(site: Site, pk: int, session: str, times: dict[int, float]) -> None:
    headers = {"Cookie": f"{cookie_name()}={session}", "Origin": site.url}
    address = f"{site.url.replace('http', 'ws')}/ws/jobs/{pk}/"
    async with websockets.connect(address, additional_headers=headers) as socket:
        await socket.send(json.dumps({"revision": 0, "log": 0}))
        async for message in socket:
            if str(message).startswith("{"):
                note(json.loads(message), times)


def note(message: dict[str, Any], times: dict[int, float]) -> None:
    if message["type"] != "points":
        return
    for step, _ in message["series"].get("bench/value", []):
        times.setdefault(step, time.time())
