"""The watcher lists checkpoints when a save was told of, at the end, and when it begins."""

import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.models import Machine
from compute.runners.base import FileFact, RunnerError
from compute.runners.local.runner import LocalRunner
from jobs.artifacts.story import known_of
from jobs.models import Job, Place, Status
from monitoring.watch.watching_machine import MachineWatcher
from monitoring.watch.watching_run import watch
from tests import factories
from tests.factories import append_run_file, write_run_file

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]
STOP = threading.Event()


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status=Status.RUNNING, started_at=timezone.now())
    write_run_file(job, "heartbeat", f"{time.time():.3f}\n")
    write_run_file(job, "events.jsonl", "")
    return job


def save(job: Job, step: int) -> None:
    write_run_file(job, f"checkpoints/global_step_{step}/model.pt", b"x")
    write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", f"{step}")


def tell(job: Job, kind: str, step: int) -> None:
    line = {"at": 1700000000, "kind": kind, "message": "saved", "step": step}
    append_run_file(job, "events.jsonl", json.dumps(line) + "\n")


def steps(job: Job) -> list[int]:
    return [saved.step for saved in known_of(job)]


@pytest.mark.parametrize("kind", ["checkpoint", "paused"])
def test_a_save_that_was_told_of_is_listed(job: Job, kind: str) -> None:
    save(job, 2)
    watch(job)
    assert steps(job) == []  # nobody walks the disk without a reason
    tell(job, kind, 2)
    assert watch(job)
    assert steps(job) == [2]
    job.refresh_from_db()
    assert not job.listing_due
    before = job.revision
    assert not watch(job)
    assert job.revision == before


def test_the_end_is_listed_too(job: Job) -> None:
    save(job, 2)
    write_run_file(job, "exit_code", "1\n")
    watch(job)
    assert steps(job) == [2]


def test_who_begins_to_watch_looks_at_the_disk(job: Job) -> None:
    save(job, 2)
    watcher = MachineWatcher(job.machine)
    watcher.turn(STOP)
    assert steps(job) == [2]
    shutil.rmtree(Path(job.run_dir, "checkpoints/global_step_2"))
    watcher.turn(STOP)
    assert steps(job) == [2]
    MachineWatcher(job.machine).turn(STOP)
    assert steps(job) == []
    assert Place.objects.get().gone_by == ""


def test_what_could_not_be_listed_at_the_end_is_listed_later(
    job: Job, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(self: LocalRunner, path: str) -> list[FileFact]:
        raise RunnerError("The disk is slow.")

    save(job, 2)
    tell(job, "checkpoint", 2)
    write_run_file(job, "exit_code", "1\n")
    with monkeypatch.context() as patch:
        patch.setattr(LocalRunner, "files", unreadable)
        watch(job)
        job.refresh_from_db()
        assert (job.status, job.listing_due, steps(job)) == (Status.FAILED, True, [])
    watcher = MachineWatcher(machine)
    watcher.turn(STOP)
    assert steps(job) == [2]
    job.refresh_from_db()
    assert not job.listing_due


def test_a_disk_that_cannot_be_read_is_not_asked_for_ever(
    job: Job, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(self: LocalRunner, path: str) -> list[FileFact]:
        raise RunnerError("Permission denied.")

    Job.objects.filter(pk=job.pk).update(status=Status.FAILED, listing_due=True)
    monkeypatch.setattr(LocalRunner, "files", unreadable)
    MachineWatcher(machine).turn(STOP)
    job.refresh_from_db()
    assert not job.listing_due
