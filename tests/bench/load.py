"""50 active runs and 100 open pages: how late points are, what is lost, and what the web costs.

Web and watcher are separate processes, without Redis. A stand-in for the trainers appends lines as
wide as a GRPO step's; a websocket stands for each open page.
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import websockets
from django.contrib.auth.models import User

from jobs.models import Job, Status
from monitoring.store import points
from tests.bench.home import cookie, cookie_name, percentile
from tests.bench.live import append, ended, make_job, note
from tests.e2e.site import Site, wait_for

RUNS, PAGES = 50, 100
SECONDS = 60.0
LINE_EVERY = 5.0  # seconds from one line of a run to its next
BEAT_EVERY = 3.0
MIB = 1 << 20


@dataclass
class Page:
    """What an open page has seen: when each step came, and the bytes of all messages."""

    job: Job
    seen: dict[int, float] = field(default_factory=dict)
    bytes: int = 0
    is_ready: bool = False


def measure(site: Site) -> dict[str, float]:
    site.start("--no-samples")
    try:
        assert User.objects.filter(username="admin").exists()
        jobs = [make_job() for _ in range(RUNS)]
        sent: dict[int, dict[int, float]] = {job.pk: {} for job in jobs}
        for job in jobs:
            append(Path(job.run_dir), 1, sent[job.pk])
        with beating(jobs):
            wait_for(lambda: all(points.position(jobs).values()), "the first lines", 120)
            found = watched(site, jobs, sent)
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(status=Status.STOPPED)
        return found
    finally:
        site.stop()


@contextmanager
def beating(jobs: list[Job]) -> Iterator[None]:
    """The wrappers' signs of life, also before the first page is open."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(BEAT_EVERY):
            for job in jobs:
                Path(job.run_dir, "heartbeat").write_text(str(time.time()))

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()


def watched(site: Site, jobs: list[Job], sent: dict[int, dict[int, float]]) -> dict[str, float]:
    pages = [Page(jobs[at % RUNS]) for at in range(PAGES)]
    web = psutil.Process(site.pids()["web"])
    watcher = psutil.Process(site.pids()["watcher"])
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    session = cookie()
    views = [start(loop, look(site, session, page)) for page in pages]
    wait_for(lambda: all(page.is_ready for page in pages), "the pages to open", 120)
    before, used = [page.bytes for page in pages], cpu_of(web) + cpu_of(watcher)
    began = time.monotonic()
    largest = write_and_measure(jobs, sent, web)
    share = (cpu_of(web) + cpu_of(watcher) - used) / (time.monotonic() - began)
    complete = lambda: all(len(page.seen) >= len(sent[page.job.pk]) for page in pages)  # noqa: E731
    try:
        wait_for(complete, "all pages to see every step", 30)
        lost = 0
    except AssertionError:
        lost = sum(len(sent[page.job.pk]) - len(page.seen) for page in pages)
    for view in views:
        view.cancel()
    asyncio.run_coroutine_threadsafe(ended(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    delays = [
        at - sent[page.job.pk][step] for page in pages for step, at in page.seen.items() if step > 1
    ]
    told = sum(page.bytes for page in pages) - sum(before)
    return {
        "lines that were written": float(sum(len(steps) - 1 for steps in sent.values())),
        "point to page, p95 [s] (at most 1.5)": percentile(delays, 0.95),
        "point to page, median [s]": percentile(delays, 0.5),
        "points lost (none)": float(lost),
        "web process, largest memory [MB] (under 500)": largest / MIB,
        "use of one core by web and watcher [%]": 100 * share,
        "bytes to a page for each line": told / max(1, len(delays)),
    }


def start(loop: asyncio.AbstractEventLoop, act: Coroutine[Any, Any, None]) -> Any:
    return asyncio.run_coroutine_threadsafe(act, loop)


def write_and_measure(
    jobs: list[Job], sent: dict[int, dict[int, float]], web: psutil.Process
) -> float:
    """Append lines for a minute; the largest memory of the web process in that time."""
    chance, began, largest = random.Random(1), time.monotonic(), 0.0
    due = {job.pk: began + chance.uniform(0, LINE_EVERY) for job in jobs}
    folders = {job.pk: Path(job.run_dir) for job in jobs}
    while time.monotonic() < began + SECONDS:
        for pk, at in due.items():
            if time.monotonic() >= at:
                due[pk] = at + LINE_EVERY
                append(folders[pk], len(sent[pk]) + 1, sent[pk])
        largest = max(largest, float(web.memory_info().rss))
        time.sleep(0.02)
    return largest


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def look(site: Site, session: str, page: Page) -> None:
    headers = {"Cookie": f"{cookie_name()}={session}", "Origin": site.url}
    address = f"{site.url.replace('http', 'ws')}/ws/jobs/{page.job.pk}/"
    async with websockets.connect(address, additional_headers=headers, open_timeout=60) as socket:
        await socket.send(json.dumps({"revision": 0, "log": 0}))
        async for message in socket:
            page.bytes += len(message)
            if str(message).startswith("{"):
                note(json.loads(message), page.seen)
                page.is_ready = page.is_ready or bool(page.seen)
