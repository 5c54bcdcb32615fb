"""The metric store against Trackio and TensorBoard, and how it serves: in one run of all three.

200 metrics x 10,000 steps go from a run's file through the watcher into the store; the peers get
the same from memory, in an environment of their own (``peers.txt``).
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import orjson
from django.contrib.auth.models import User

from compute.models import Machine
from jobs.kinds.registry import kind_of
from jobs.launch.submit import submit
from jobs.models import Job, Status
from jobs.verl.key_metrics import VALIDATION
from monitoring.series.frame import frame_of
from monitoring.store import points
from tests import factories
from tests.bench import paint
from tests.bench.home import cookie, cookie_name
from tests.e2e.site import Site, wait_for
from tests.fakes import FakeTrainer

SPEC = factories.grpo_spec()
SCORE = "val-core/bench/acc/mean@8"
PINNED = [SCORE if name == VALIDATION else name for name in kind_of(SPEC).key_metrics(SPEC)]
METRICS, STEPS = 200, 10_000
RUNS, NAMES = 50, 10_000
WIDTH = 800  # pixels of a chart
TIMES = 9
START = 2.0  # seconds that a run's start and end may take beside its metrics
PEERS = Path(sys.prefix) / "bench-peers/bin/python"
HERE = Path(__file__).resolve().parent
Figures = dict[str, float]


def measure(site: Site) -> Figures:
    folder = site.home.parent
    file = write_metrics(folder / "metrics.jsonl")
    peers = ask_peers(file, folder)
    site.start("--no-samples")
    try:
        job, took = through_the_watcher(site, file, folder)
        figures = written(took, peers) | one_series(site, job, peers)
        figures |= one_metric_of_many_runs(site, peers) | very_many_names(site)
        return figures | paint.measure(site, job)
    finally:
        site.stop()


def write_metrics(file: Path) -> Path:
    """Key metrics among them, so that the page has charts that it draws first."""
    chance = random.Random(1)
    more = (f"bench_{n // 20}/metric_{n}" for n in range(METRICS - len(PINNED)))
    names = [*PINNED, *more]
    with file.open("wb") as out:
        for step in range(1, STEPS + 1):
            data = {name: chance.random() for name in names}
            out.write(orjson.dumps({"step": step, "data": data}) + b"\n")
    return file


def ask_peers(file: Path, folder: Path) -> Figures:
    (folder / "peers").mkdir()
    argv = [str(PEERS), str(HERE / "peers.py"), str(file), str(folder / "peers")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def through_the_watcher(site: Site, file: Path, folder: Path) -> tuple[Job, float]:
    """Seconds from the submission to COMPLETED, by a trainer that writes all lines at once."""
    trainer = FakeTrainer(folder / "trainer")
    trainer.plan(steps=STEPS, copy=str(file))
    Machine.objects.filter(kind=Machine.Kind.LOCAL).update(python=trainer.python)
    owner = User.objects.get(username="admin")
    order = factories.make_order(owner, name="two million points", spec=SPEC, steps=STEPS)
    began = time.perf_counter()
    job = submit(order, start=True)
    wait_for(lambda: has_ended(job), "the run to end", 120, every=0.02)
    took = time.perf_counter() - began
    assert job.status == Status.COMPLETED, job.reason
    assert sum(series.count for series in job.series.all()) == METRICS * STEPS
    return job, took


def has_ended(job: Job) -> bool:
    job.refresh_from_db()
    return job.has_ended


def written(took: float, peers: Figures) -> Figures:
    trackio = peers["Trackio: bulk write"]
    board = peers["TensorBoard: write"] + peers["TensorBoard: load"]
    return {
        "2 M points, submit to COMPLETED [s]": took,
        "  Trackio's bulk write [s]": trackio,
        "  ours without the start / Trackio's (at most 1)": (took - START) / trackio,
        "  TensorBoard's write and load [s]": board,
        "  ours / TensorBoard's (at most 0.333)": took / board,
    }


def one_series(site: Site, job: Job, peers: Figures) -> Figures:
    name, url = PINNED[0], f"/jobs/{job.pk}/points/?name={PINNED[0]}"
    stored = typically(lambda: points.window(job, [name]))
    trackio = peers["Trackio: one series"]
    return {
        "one series of 10,000, from the store [ms] (under 10)": 1000 * stored,
        "  Trackio's [ms]": 1000 * trackio,
        "  ours / Trackio's": stored / trackio,
        "  served whole [ms] (under 30)": 1000 * served(site, url)[0],
        "  served for 800 pixels [ms] (under 30)": 1000 * served(site, f"{url}&width={WIDTH}")[0],
        "  served in full, zoomed into 500 steps [ms]": 1000
        * served(site, f"{url}&width={WIDTH}&low=4000&high=4500")[0],
    }


def one_metric_of_many_runs(site: Site, peers: Figures) -> Figures:
    owner = User.objects.get(username="admin")
    jobs = [factories.make_job(owner, status=Status.STOPPED) for _ in range(RUNS)]
    for job in jobs:
        append(job, ["train/loss"], range(1, STEPS + 1))
    query = "&".join(["name=train/loss", *(f"job={job.pk}" for job in jobs)])
    whole, thin = served(site, f"/points/?{query}"), served(site, f"/points/?{query}&width={WIDTH}")
    seen = "&".join(f"seen={pk}:{number}" for pk, number in points.position(jobs).items())
    for job in jobs:
        append(job, ["train/loss"], range(STEPS + 1, STEPS + 2))
    tick = served(site, f"/points/?{query}&width={WIDTH}&{seen}")
    trackio = peers["Trackio: one metric of 50 runs"]
    return {
        "one metric of 50 runs x 10,000, whole [s] (under 1)": whole[0],
        "  for 800 pixels [s]": thin[0],
        "  Trackio's read, unserved [s]": trackio,
        "  ours for 800 pixels / Trackio's": thin[0] / trackio,
        "  bytes of it for 800 pixels [MB]": thin[1] / 1e6,
        "  a later tick of one point a run [ms]": 1000 * tick[0],
        "  bytes of that tick [kB]": tick[1] / 1e3,
    }


def very_many_names(site: Site) -> Figures:
    job = factories.make_job(User.objects.get(username="admin"), status=Status.STOPPED)
    names = [f"layer_{n // 100}/norm_{n}" for n in range(NAMES)]
    first = seconds(lambda: append(job, names, range(1, 2)))
    later = [seconds(lambda n=n: append(job, names, range(n, n + 1))) for n in range(2, 32)]  # type: ignore[misc]
    page = served(site, f"/jobs/{job.pk}/")
    return {
        "10,000 names: the first line into the store [ms]": 1000 * first,
        "  a later line, median [ms]": 1000 * median(later),
        "  the run's page [ms]": 1000 * page[0],
        "  bytes of the page [kB]": page[1] / 1e3,
    }


def append(job: Job, names: list[str], steps: range) -> None:
    values = np.random.default_rng(0).random((len(steps), len(names)))
    points.append(job, [frame_of(tuple(names), np.array(steps, np.int64), values)])


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def typically(act: Callable[[], object]) -> float:
    act()
    return median(seconds(act) for _ in range(TIMES))


def served(site: Site, path: str) -> tuple[float, int]:
    """Median seconds to the last byte, and how many bytes it has unpacked."""
    with httpx.Client(base_url=site.url, cookies={cookie_name(): cookie()}, timeout=60) as web:
        answer = web.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        return typically(lambda: web.get(path)), len(answer.content)
