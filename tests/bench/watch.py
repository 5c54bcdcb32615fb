"""What the watcher costs and how soon it sees a line: 200 runs, 20 of them active, over SSH.

A real sshd on the loopback address; a stand-in for the trainers appends lines as wide as a GRPO
step's to the run directories.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from compute.models import Machine
from jobs.models import Job, Status
from tests.bench.home import percentile
from tests.bench.live import WIDTH
from tests.e2e.site import ROOT, Site, wait_for
from tests.sshd import Account, Sshd, account, far_trainer

RUNS, ACTIVE = 200, 20
SECONDS = 60.0
LINE_EVERY = 5.0  # seconds from one line of a run to its next
LOOK_EVERY = 0.05
Sent = dict[tuple[int, int], float]


def measure(site: Site) -> dict[str, float]:
    call_command("migrate", verbosity=0)
    of = account()
    folder = of.folder()
    try:
        with Sshd(of) as server:
            jobs = runs(far_machine(server, of, folder), of)
            with watcher(site) as process:
                return watch(process, jobs)
    finally:
        shutil.rmtree(folder)


def far_machine(server: Sshd, of: Account, folder: Path) -> Machine:
    address = server.address()
    machine = Machine.objects.create(
        name="bench", kind=Machine.Kind.SSH, host=address.host, port=address.port,
        user=of.name, host_key=address.host_key, workdir=str(folder),
        python=far_trainer(of, folder / "fake").python,
    )  # fmt: skip
    key = address.login.private_key
    machine.secrets.create(name="private_key", value=key, set_at=timezone.now())
    return machine


def runs(machine: Machine, of: Account) -> list[Job]:
    """The active ones; the others have ended and stand in the database only."""
    owner, _ = User.objects.get_or_create(username="bench")
    made = [
        Job.objects.create(
            name=f"run {number}", kind="grpo", machine=machine, owner=owner, steps=10_000,
            spec={"values": {"device": "cpu"}, "overrides": []}, started_at=timezone.now(),
            status=Status.RUNNING if number < ACTIVE else Status.COMPLETED,
        )
        for number in range(RUNS)
    ]  # fmt: skip
    for job in made[:ACTIVE]:
        Path(job.run_dir).mkdir(parents=True)
        append(job, 1)
    of.owns(Path(machine.workdir))
    return made[:ACTIVE]


def append(job: Job, step: int) -> float:
    data = {f"bench/filler_{number}": random.random() for number in range(WIDTH)}
    Path(job.run_dir, "heartbeat").write_text(str(time.time()))
    with Path(job.run_dir, "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "data": data}) + "\n")
    with Path(job.run_dir, "train.log").open("a") as file:
        file.write(f"step:{step} - " + "x" * 2000 + "\n")
    return time.time()


@contextmanager
def watcher(site: Site) -> Iterator[psutil.Process]:
    with (site.home / "watcher.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "watchjobs"], cwd=ROOT, env={**os.environ, **site.env},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def watch(process: psutil.Process, jobs: list[Job]) -> dict[str, float]:
    wait_for(lambda: all(step == 1 for step in steps(jobs).values()), "the first lines", 60)
    sent: Sent = {}
    seen: Sent = {}
    writer = threading.Thread(target=write, args=(jobs, sent))
    began, used = time.monotonic(), cpu_of(process)
    writer.start()
    while writer.is_alive() or len(seen) < len(sent):
        note(steps(jobs), sent, seen)
        time.sleep(LOOK_EVERY)
        assert time.monotonic() - began < 3 * SECONDS, "the watcher does not keep up"
    share = (cpu_of(process) - used) / (time.monotonic() - began)
    delays = [seen[key] - at for key, at in sent.items()]
    return {
        "lines": float(len(delays)),
        "watcher's use of one core [%]": 100 * share,
        "line to database, p95 [s]": percentile(delays, 0.95),
        "line to database, median [s]": percentile(delays, 0.5),
    }


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def steps(jobs: list[Job]) -> dict[int, int]:
    return dict(Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("pk", "step"))


def note(found: dict[int, int], sent: Sent, seen: Sent) -> None:
    now = time.time()
    for (pk, step), _ in list(sent.items()):
        if (pk, step) not in seen and found[pk] >= step:
            seen[pk, step] = now


def write(jobs: list[Job], sent: Sent) -> None:
    """Each run's lines at moments of their own, for as long as is measured."""
    chance, began = random.Random(1), time.monotonic()
    due = {job.pk: began + chance.uniform(0, LINE_EVERY) for job in jobs}
    step = dict.fromkeys(due, 1)
    while time.monotonic() < began + SECONDS:
        for job in jobs:
            if time.monotonic() >= due[job.pk]:
                due[job.pk] += LINE_EVERY
                step[job.pk] += 1
                sent[job.pk, step[job.pk]] = append(job, step[job.pk])
        time.sleep(0.01)
