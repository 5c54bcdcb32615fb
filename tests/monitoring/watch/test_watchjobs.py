"""The watcher as a process of its own, beside real wrappers and trainers that are fakes."""

import json
import os
import random
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone

from compute.models import MachineSample
from compute.runners.base import RunnerError
from jobs.launch import end, start
from jobs.models import Job, Status
from monitoring.models import Cursor, SystemSample
from monitoring.watch.looks import Look
from monitoring.watch.management.commands.watchjobs import Watcher
from monitoring.watch.watching_run import watch as watch_run
from tests import factories, processes, taskqueue
from tests.factories import metrics_line, write_run_file
from tests.fakes import FakeTrainer
from tests.waiting import eventually

pytestmark = [
    pytest.mark.backends,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("queue"),
]
KILLS = 20
LINES = 3000


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return processes.environment(home)


def launched(user: User, **fields: object) -> Job:
    """A job whose run was started by the service, as a worker does it."""
    given = {"status": Status.QUEUED, "queued_at": timezone.now()}
    job = factories.make_job(user, **given | fields)
    start.launch_queued(job.machine_id)
    job.refresh_from_db()
    return job


def becomes(job: Job, status: Status, within: float = 30) -> Job:
    def look() -> bool:
        job.refresh_from_db()
        return job.status == status

    eventually(look, within, f"{job} is {job.status} and not {status}: {job.reason}")
    return job


def step_is(job: Job, step: int) -> Callable[[], bool]:
    return lambda: Job.objects.filter(pk=job.pk, step__gte=step).exists()


def kinds(job: Job) -> list[str]:
    return [event.kind for event in job.events.order_by("pk")]


def test_a_whole_run(user: User, trainer: FakeTrainer, env: dict[str, str]) -> None:
    trainer.plan(steps=3, gated=True)
    job = launched(user)
    with processes.running("watchjobs", env=env):
        trainer.go(1)
        eventually(step_is(job, 1))
        assert Job.objects.get(pk=job.pk).status == Status.RUNNING
        trainer.go(3)
        becomes(job, Status.COMPLETED)
    assert (job.step, job.exit_code, job.reason) == (3, 0, "All 3 steps done.")
    assert kinds(job)[:2] == ["starting", "running"]
    assert kinds(job)[-1] == "completed"
    assert {"started", "exited"} <= set(kinds(job))
    assert [step for name, step in stored(job) if name == "train/loss"] == [1, 2, 3]
    assert MachineSample.objects.filter(machine=job.machine).exists()


@pytest.mark.parametrize(
    ("plan", "status", "code", "reason"),
    [
        ({"crash_at": 2}, "failed", 1, "Exit code 1 at step 1 of 3. RuntimeError: CUDA out of"),
        ({"steps": 2, "says": 3}, "failed", 0, "Ended without an error, but at step 2 of 3."),
        ({"steps": 2}, "completed", 0, "All 2 steps done."),
        ({"exit": 7}, "failed", 7, "Exit code 7 at step 3 of 3."),
    ],
)
def test_how_a_run_ends(
    user: User,
    trainer: FakeTrainer,
    env: dict[str, str],
    plan: dict[str, int],
    status: str,
    code: int,
    reason: str,
) -> None:
    trainer.plan(**plan)
    job = launched(user)
    with processes.running("watchjobs", env=env):
        becomes(job, Status(status))
    assert job.exit_code == code
    assert job.reason.startswith(reason)


def test_stop_ends_all_of_a_run(user: User, trainer: FakeTrainer, env: dict[str, str]) -> None:
    trainer.plan(steps=3, gated=True, grandchild=True)
    job = launched(user)
    trainer.go(1)
    note = Path(job.run_dir, "grandchild")
    eventually(lambda: note.exists() and note.read_text())
    grandchild = psutil.Process(int(note.read_text()))
    with processes.running("watchjobs", env=env):
        eventually(step_is(job, 1))
        assert end.stop(job, who="ada")
        taskqueue.work()
        becomes(job, Status.STOPPED)
    assert job.reason == "Stopped on request at step 1 of 3."
    assert job.exit_code == 143
    assert not grandchild.is_running()
    assert "stop asked" in kinds(job)


def test_a_run_whose_processes_were_killed_is_lost(
    user: User, trainer: FakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.watch.life.SILENT", 0.0)
    trainer.plan(steps=3, gated=True)
    job = launched(user)
    trainer.go(3 - 1)
    eventually(lambda: lines_of(job, "metrics.jsonl") == 2)
    record = json.loads(Path(job.run_dir, "pid").read_text())
    for part in ("wrapper", "process"):
        kill(record[part]["pid"])
    watcher = Watcher()

    def look() -> bool:
        watcher.look()
        job.refresh_from_db()
        return job.has_ended

    eventually(look)
    assert job.status == Status.LOST
    assert job.reason == (
        "Its processes are gone and left no exit code. The last step seen is 2 of 3."
    )


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_a_hostile_name_harms_nothing(
    user: User, trainer: FakeTrainer, env: dict[str, str], home: Path, tmp_path: Path
) -> None:
    jobs = [launched(user, name="x'; touch pwned #")]
    with processes.running("watchjobs", env=env):
        becomes(jobs[0], Status.COMPLETED)
        jobs.append(launched(user, name="../../up"))
        becomes(jobs[1], Status.COMPLETED)
    assert [job.name for job in jobs] == ["x'; touch pwned #", "../../up"]
    assert list(tmp_path.rglob("pwned*")) == []
    assert list(tmp_path.rglob("up")) == []
    assert {path.name for path in (home / "runs").iterdir()} == {str(job.uuid) for job in jobs}


def test_killed_twenty_times_it_loses_and_doubles_nothing(
    user: User, trainer: FakeTrainer, env: dict[str, str]
) -> None:
    trainer.plan(steps=LINES, pause=0.007, gated=True)
    job = launched(user, steps=LINES)
    chance, steps = random.Random(1), []
    for turn in range(KILLS):
        # Lines for one watcher, of which most are written only while it reads, and is killed.
        first, last = LINES * turn // KILLS + 1, LINES * (turn + 1) // KILLS
        trainer.go(first)
        with processes.running("watchjobs", env=env) as watcher:
            eventually(step_is(job, first))
            trainer.go(min(last, LINES - 1))
            with suppress(subprocess.TimeoutExpired):
                watcher.wait(timeout=chance.uniform(0, 1.2))
            kill(watcher.pid)
        steps.append(Job.objects.values_list("step", flat=True).get(pk=job.pk))
    assert len(set(steps)) > KILLS // 2, "the kills came after the run"
    trainer.go(LINES)
    with processes.running("watchjobs", env=env):
        becomes(job, Status.COMPLETED)
    assert job.step == LINES
    assert stored(job) == written(job)
    assert {series.count for series in job.series.all()} == {LINES}
    cursor = Cursor.objects.get(job=job, file="metrics.jsonl")
    assert cursor.offset == Path(job.run_dir, "metrics.jsonl").stat().st_size
    assert kinds(job).count("started") == 1
    assert SystemSample.objects.filter(job=job).count() == lines_of(job, "system.jsonl")


def stored(job: Job) -> dict[tuple[str, int], float]:
    return factories.points_of(job)


def written(job: Job) -> dict[tuple[str, int], float]:
    found: dict[tuple[str, int], float] = {}
    for line in Path(job.run_dir, "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        for name, value in record["data"].items():
            found[name, record["step"]] = float(value)
    return found


def lines_of(job: Job, name: str) -> int:
    path = Path(job.run_dir, name)
    return path.read_text().count("\n") if path.exists() else 0


def test_a_second_watcher_waits_for_its_turn(
    user: User, trainer: FakeTrainer, env: dict[str, str], tmp_path: Path
) -> None:
    trainer.plan(steps=2, gated=True)
    job = launched(user)
    with (
        processes.running("watchjobs", env=env) as first,
        processes.running("watchjobs", env=env) as second,
    ):
        trainer.go(1)
        eventually(step_is(job, 1))
        eventually(lambda: has_open(first, "watch.lock") and has_open(second, "watch.lock"))
        first.send_signal(signal.SIGTERM)
        assert first.wait(10) == 0
        trainer.go(2)
        becomes(job, Status.COMPLETED)
        assert second.poll() is None
        second.send_signal(signal.SIGTERM)
        assert second.wait(10) == 0


def has_open(process: subprocess.Popen[str], name: str) -> bool:
    return any(Path(file.path).name == name for file in psutil.Process(process.pid).open_files())


def test_one_run_that_cannot_be_watched_does_not_keep_the_others_from_it(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = factories.make_machine(slots=4)
    jobs = [
        factories.make_job(user, machine=machine, status=Status.RUNNING, started_at=timezone.now())
        for _ in range(4)
    ]
    for job in jobs:
        write_run_file(job, "heartbeat", f"{timezone.now().timestamp()}")
        write_run_file(job, "metrics.jsonl", metrics_line(1))
    errors = {
        jobs[0].pk: RunnerError("x"),
        jobs[1].pk: OperationalError("x"),
        jobs[2].pk: KeyError("x"),
    }

    def watch(job: Job, look: Look) -> bool:
        if job.pk in errors:
            raise errors[job.pk]
        return watch_run(job, look)

    monkeypatch.setattr("monitoring.watch.watching_machine.watch", watch)
    Watcher().look()
    jobs[3].refresh_from_db()
    assert jobs[3].step == 1


def test_a_machine_that_cannot_be_measured_does_not_end_the_watcher(user: User) -> None:
    factories.make_machine(name="a gone one", workdir="/nowhere")
    good = factories.make_machine(name="z")
    Watcher().look()
    assert good.samples.count() == 1


def test_the_watcher_asks_for_what_waits_for_nothing(user: User, trainer: FakeTrainer) -> None:
    job = factories.make_job(
        user, status=Status.QUEUED, queued_at=timezone.now() - timedelta(seconds=9)
    )
    Watcher().look()
    assert taskqueue.take_all() == [("jobs.tasks.launch_queued", (job.machine_id,))]
