"""A run may write anything into its directory: its job ends, its pages work, and others go on."""

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from compute.runners import rundir
from compute.runners.base import Alive
from compute.runners.local.runner import LocalRunner
from jobs import events
from jobs.artifacts.story import known_of
from jobs.kinds.train import Train
from jobs.launch import overdue
from jobs.models import Job, Status
from monitoring.models import Cursor
from monitoring.readers.told import is_platforms_own
from monitoring.watch import life, watching_run
from platform_site.events import kinds_of
from tests import factories
from tests.factories import append_run_file, metrics_line, write_run_file

pytestmark = pytest.mark.usefixtures("queue")
FILES = (
    rundir.LOG, rundir.METRICS, rundir.SYSTEM, rundir.EVENTS, rundir.HEARTBEAT, rundir.PID,
    rundir.EXIT_CODE, "checkpoints/latest_checkpointed_iteration.txt",
    "checkpoints/global_step_1/actor/model.pt", "rollouts/1.jsonl", "control/pause",
)  # fmt: skip
PAGES = (
    "monitoring:run",
    "monitoring:system",
    "monitoring:log",
    "jobs:events",
    "monitoring:checkpoints",
)


def line(**data: object) -> bytes:
    return json.dumps({"at": 1, **data}).encode() + b"\n"


PLATFORMS_OWN = sorted(
    kind.name for kind in kinds_of([events.PLATFORM]) if is_platforms_own(kind.name)
)
CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "a newline": b"\n",
    "bytes": bytes(range(256)) * 8,
    "zeros": b"\0" * 4096 + b"\n",
    "a word": b"notanint\n",
    "a large number": b"9" * 5000 + b"\n",
    "a negative number": b"-7\n",
    "not a number": b"NaN\n",
    "infinity": b"Infinity\n",
    "a list": b"[1, 2]\n",
    "null": b"null\n",
    "deep": b"[" * 50_000 + b"\n",
    "deep and closed": b'{"at": 1, "kind": "x", "y": ' + b"[" * 900 + b"]" * 900 + b"}\n",
    "half a line": b'{"at": 1, "kind": "paused"',
    "paused at a word": line(kind="paused", step="notanint"),
    "paused at a list": line(kind="paused", step=[1]),
    "paused at a large number": line(kind="paused", step=10**30),
    "no kind": line(kind=None) + line(kind={}) + line(),
    "a message that is none": line(kind="started", message={"a": 1}),
    "a long message": line(kind="started", message="x" * 60_000),
    "the platform's own": b"".join(line(kind=kind, step="x") for kind in PLATFORMS_OWN),
    "planned": line(kind="planned", steps="many") + line(kind="planned", steps=-1),
    "exported": line(kind="exported", bytes="many", tensors=[]),
    "far ahead": line(kind="started").replace(b"1", b"253402300799", 1),
    "gpus that are none": line(gpus="notalist") + line(cpu_percent=5, gpus=[1, {}, {"index": []}]),
    "figures that are none": line(cpu_percent="5") + line(memory_used=[1], disk_total={}),
    "figures that are too large": line(cpu_percent=10**40, memory_used=-1, memory_total=1e300),
    "metrics that are none": b'{"step": "1", "data": {"a": 1}}\n{"step": 1, "data": [1]}\n',
    "names that are none": b'{"step": 1, "data": {"": 1, "/": 2, "a\\u0000\\ud800": 3}}\n',
    "a late step": b'{"step": 2147483647, "data": {"a": 1e308}}\n',
}


def folder(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def of_the_year_9000(path: Path) -> None:
    path.write_bytes(b"1\n")
    os.utime(path, (2.2e11, 2.2e11))


def with_a_hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 24)


PLACES: dict[str, Callable[[Path], object]] = {
    "a folder": folder,
    "a pipe": os.mkfifo,
    "a link to itself": loop,
    "a device": endless,
    "a late change": of_the_year_9000,
    "a hole": with_a_hole,
}


@pytest.fixture(autouse=True)
def without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead runs are seen at once, and files that stay unreadable are given up at once."""
    monkeypatch.setattr(life, "LOOK_AT_PROCESSES", 0.0)
    monkeypatch.setattr(watching_run, "PATIENCE", 0.0)
    monkeypatch.setattr(LocalRunner, "alive", lambda *_: Alive(wrapper=False, process=False))


def running(user: User) -> Job:
    job = factories.make_job(user, status=Status.RUNNING, started_at=timezone.now())
    write_run_file(job, "heartbeat", f"{time.time():.3f}\n")
    return job


def put(job: Job, name: str, make: Callable[[Path], object]) -> None:
    path = Path(job.run_dir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    make(path)


def placed(what: str) -> Callable[[Path], object]:
    return PLACES.get(what) or (lambda path: path.write_bytes(CONTENTS[what]))


def ended(job: Job) -> Job:
    """The job after its end. Only its exit code and its heartbeat are from its wrapper."""
    beat, verdict = Path(job.run_dir, "heartbeat"), Path(job.run_dir, "exit_code")
    if beat.is_file() and not beat.is_symlink() and verdict.is_file():
        os.utime(verdict, (0, 0))
    for _ in range(2):
        try:
            watching_run.watch(job)
        except Exception:  # told in the log, and looked at again
            job.refresh_from_db()
    return job


@pytest.mark.parametrize("what", [*CONTENTS, *PLACES])
def test_whatever_lies_in_a_file_its_job_ends(user: User, what: str) -> None:
    left = {}
    for name in FILES:
        job = running(user)
        put(job, name, placed(what))
        try:
            watching_run.watch(job)
        except Exception:
            job.refresh_from_db()
        Job.objects.filter(pk=job.pk).update(started_at=timezone.now() - life_of_a_start())
        job.refresh_from_db()
        if name != rundir.EXIT_CODE:
            write_run_file(job, "exit_code", "0\n")
        if name not in (rundir.HEARTBEAT,):
            write_run_file(job, "heartbeat", "1.0\n")
        if ended(job).is_active:
            left[name] = job.status
    assert left == {}


def life_of_a_start() -> timedelta:
    return timedelta(seconds=life.NEVER_STARTED + 1)


@pytest.mark.parametrize("what", [*CONTENTS, *PLACES])
def test_whatever_lies_in_its_files_its_pages_work(page: Client, user: User, what: str) -> None:
    job = running(user)
    for name in FILES:
        put(job, name, placed(what))
    ended(job)
    answers = {name: page.get(reverse(name, args=[job.pk])).status_code for name in PAGES}
    answers["jobs:list"] = page.get(reverse("jobs:list")).status_code
    answers["export"] = page.get(
        reverse("jobs:events", args=[job.pk]), {"format": "json"}
    ).status_code
    assert set(answers.values()) == {200}, answers


def test_a_pause_whose_step_is_a_word_is_none(user: User) -> None:
    job = running(user)
    write_run_file(job, "events.jsonl", '{"at":1,"kind":"paused","step":"notanint"}\n')
    write_run_file(job, "exit_code", "0\n")
    watching_run.watch(job)
    assert (job.status, job.reason.partition(" Retry")[0]) == (
        "failed", "Ended without an error, but at step 0 of 3.",
    )  # fmt: skip


def test_a_run_tells_no_event_of_the_platform(page: Client, user: User) -> None:
    job = running(user)
    write_run_file(job, "events.jsonl", line(kind="resumed", step="x") + line(kind="started"))
    assert watching_run.watch(job)
    told = job.events.values_list("source", "kind")
    assert set(told) == {("run", "started"), ("platform", events.LINES_LEFT_OUT)}
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.refresh_from_db()
    assert known_of(job) == []


def test_what_an_earlier_release_took_from_a_run_does_not_count(user: User) -> None:
    """Its rows may hold events that a run wrote under the platform's names."""
    job = running(user)
    job.events.create(at=timezone.now(), kind="resumed", source="run", data={"step": "x"})
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.refresh_from_db()
    assert known_of(job) == []


def test_lines_that_were_left_out_are_counted_and_shown(page: Client, user: User) -> None:
    job = running(user)
    write_run_file(job, "system.jsonl", line(gpus="notalist") + line(cpu_percent=5))
    write_run_file(job, "metrics.jsonl", metrics_line(1) + "rubbish\n")
    assert watching_run.watch(job)
    append_run_file(job, "system.jsonl", "{\n")
    revision = job.revision
    assert watching_run.watch(job)
    job.refresh_from_db()
    assert job.revision > revision
    counts = Cursor.objects.filter(broken__gt=0).values_list("file", "broken", "first_broken")
    assert set(counts) == {("system.jsonl", 2, 0), ("metrics.jsonl", 1, len(metrics_line(1)))}
    messages = [event.message for event in job.events.filter(kind=events.LINES_LEFT_OUT)]
    assert 'The line at byte 0 of system.jsonl cannot be read: {"at": 1, "gpus": "notalist"}' in (
        messages
    )
    assert len(messages) == 2
    text = page.get(reverse("monitoring:run", args=[job.pk])).content.decode()
    assert (
        "Left out: 2 lines of system.jsonl that cannot be read. The first begins at byte 0." in text
    )
    assert "Left out: 1 line of metrics.jsonl that cannot be read." in text


def test_a_file_that_cannot_be_read_holds_up_no_other(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for while it may yet be read, and then the run ends without it."""
    job = running(user)
    put(job, "system.jsonl", folder)
    write_run_file(job, "metrics.jsonl", "".join(map(metrics_line, (1, 2, 3))))
    with pytest.raises(Exception, match=r"system\.jsonl cannot be read: Is a directory"):
        watching_run.watch(job)
    job.refresh_from_db()
    assert job.step == 3
    monkeypatch.setattr(watching_run, "PATIENCE", 30.0)
    write_run_file(job, "exit_code", "0\n")
    with pytest.raises(Exception, match="Is a directory"):
        watching_run.watch(job)
    job.refresh_from_db()
    assert job.status == Status.RUNNING
    os.utime(Path(job.run_dir, "exit_code"), (0, time.time() - 31))
    watching_run.watch(job)
    assert job.status == Status.COMPLETED
    told = job.events.get(kind=events.LINES_LEFT_OUT)
    assert told.message.startswith("system.jsonl was not read to its end.")


def test_a_kind_that_fails_at_what_a_run_told_ends_it(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(*_: object) -> None:
        raise KeyError("step")

    monkeypatch.setattr(Train, "judge", judge)
    job = running(user)
    write_run_file(job, "exit_code", "0\n")
    watching_run.watch(job)
    assert job.status == Status.FAILED
    assert "What the run told of itself cannot be judged." in job.reason


def test_a_stop_that_does_not_come_is_not_asked_for_at_every_turn(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(overdue, "later", lambda *args: asked.append(args))
    long_ago = timezone.now() - timedelta(hours=1)
    job = factories.make_job(user, status=Status.RUNNING, stop_asked_at=long_ago)
    for _ in range(3):
        overdue.kick_stuck()
    assert asked == [("jobs.tasks.stop_run", job.pk)]
    Job.objects.filter(pk=job.pk).update(status=Status.STOPPED)
    overdue.kick_stuck()
    assert job.pk not in overdue._asked
