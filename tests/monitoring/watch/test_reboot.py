"""Machines that reboot in the middle of a run: its processes die, its files stay."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from compute.machines.runners import runner_for
from compute.models import Machine
from compute.runners.ssh.connection import close_all
from jobs import resuming
from jobs.models import Job, Status
from tests import factories
from tests.bootable import Bootable, can_boot
from tests.compute.runners.conftest import Place
from tests.fakes import FakeTrainer
from tests.monitoring.watch import test_far_runs as far
from tests.monitoring.watch.test_far_runs import data, machine, model, place
from tests.sshd import Account, lives
from tests.waiting import eventually

__all__ = ["data", "machine", "model", "place"]
pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture(autouse=True)
def in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed soon."""
    monkeypatch.setattr("monitoring.watch.life.SILENT", 0.5)
    monkeypatch.setattr("monitoring.watch.life.LOOK_AT_PROCESSES", 0.0)


@pytest.fixture
def own_sshd(far_account: Account) -> Iterator[Bootable]:
    if not can_boot():
        pytest.skip("no process space of its own can be made here")
    with Bootable(far_account) as server:
        yield server
        close_all()


@pytest.mark.parametrize("new_kernel", [True, False], ids=["machine", "container"])
def test_a_far_machine_that_reboots(
    user: User, machine: Machine, place: Place, data: Path, model: str, page: Client,
    own_sshd: Bootable, tmp_path: Path, new_kernel: bool,
) -> None:  # fmt: skip
    """As last known while it is away, then lost, then on from the checkpoint in a new attempt."""
    own_sshd.stop()
    own_sshd.new_kernel = new_kernel
    own_sshd.start()
    starts = place.trainer.folder / "starts"
    place.trainer.plan(steps=6, gated=True, saves=True, starts=str(starts))
    job = far.launched(far.queued(user, machine, data, model, retries=1))
    resuming.ask_run(job, "save")
    place.trainer.go(4)
    eventually(lambda: far.looked(job).step == 4)
    trainers = [each for each in own_sshd.inside() if "fake_trainer" in " ".join(each.cmdline())]
    assert trainers

    own_sshd.stop()
    assert not any(map(lives, trainers))
    job = far.looked(job)
    assert (job.status, job.step) == (Status.RUNNING, 4)
    text = page.get(job.get_absolute_url()).content.decode()
    assert "is unreachable since" in text
    assert "as last known" in text

    own_sshd.start()
    job = far.until(job, Status.LOST)
    assert job.reason.startswith("Its processes are gone and left no exit code. The last step")
    assert job.retry_at is not None
    Job.objects.filter(pk=job.pk).update(retry_at=timezone.now())
    resuming.retry_due()
    job.refresh_from_db()
    job = far.launched(job)
    place.trainer.go(6)
    job = far.until(job, Status.COMPLETED)
    assert (job.attempt, job.resume_step) == (2, 1)
    assert far.losses(job) == [1, 2, 3, 4, 5, 6]
    names = [line.split()[1] for line in starts.read_text().splitlines()]
    assert names == ["attempt-1", "attempt-2"]


@pytest.mark.parametrize("change", ["another boot", "another start"])
def test_this_machine_rebooted_and_the_pids_went_to_others(
    user: User, trainer: FakeTrainer, change: str
) -> None:
    """What has the recorded ids now is neither taken for the run nor hit by a stop."""
    trainer.plan(steps=3, gated=True)
    job = far.launched(
        factories.make_job(user, status=Status.QUEUED, queued_at=timezone.now(), retries=0)
    )
    path = Path(job.run_dir, "pid")
    record: dict[str, Any] = json.loads(path.read_text())
    for part in ("wrapper", "process"):
        process = psutil.Process(record[part]["pid"])
        process.kill()
        eventually(lambda process=process: not lives(process))  # type: ignore[misc]
        record[part]["pid"] = os.getpid()
        record[part]["started"] = started_at(os.getpid()) - (change == "another start")
    record["process"]["pgid"] = os.getpgid(0)
    if change == "another boot":
        record["boot_id"] = "another"
    path.write_text(json.dumps(record))
    runner_for(job.machine).stop(job.run_dir, 0)
    job = far.until(job, Status.LOST)
    assert "Its processes are gone" in job.reason


def started_at(pid: int) -> int:
    """In clock ticks since the boot, as the node records it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
