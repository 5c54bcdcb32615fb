"""The disk fills, the work folder is removed: here and behind a real sshd, named and safe."""

import json
import re
import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.machines.runners import runner_for
from compute.models import Machine
from jobs.launch import end
from jobs.models import Job, Status
from tests import factories
from tests.compute.runners.conftest import Place
from tests.fakes import FakeTrainer
from tests.monitoring.watch import test_far_runs as far
from tests.sshd import lives
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("queue")


class Ground:
    """A machine, what trains on it, and a job for it."""

    def __init__(self, machine: Machine, trainer: FakeTrainer, spec: dict[str, Any]) -> None:
        self.machine, self.trainer, self.spec = machine, trainer, spec

    def launched(self, user: User) -> Job:
        now = timezone.now()
        job = factories.make_job(
            user, machine=self.machine, spec=self.spec, status=Status.QUEUED, queued_at=now
        )
        return far.launched(job)


@pytest.fixture(params=["local", "ssh"])
def ground(
    request: pytest.FixtureRequest, machine: Machine, trainer: FakeTrainer, home: Path
) -> Ground:
    data = factories.write_sft_rows(home / "rows.parquet", 64)
    if request.param == "local":
        return Ground(machine, trainer, factories.sft_spec().to_json())
    place: Place = request.getfixturevalue("far")
    address = request.getfixturevalue("sshd").address()
    box = factories.make_ssh_machine(
        host=address.host, port=address.port, user=address.login.user, host_key=address.host_key,
        workdir=str(place.workdir), python=place.trainer.python,
    )  # fmt: skip
    key = {"name": "private_key", "value": address.login.private_key, "set_at": timezone.now()}
    box.secrets.create(**key)
    model = factories.make_model_folder(place.folder("model"))
    spec = factories.sft_spec(train_files=str(data), val_files=str(data), model_path=str(model))
    return Ground(box, place.trainer, spec.to_json())


@pytest.fixture(autouse=True)
def looks_at_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.watch.life.LOOK_AT_PROCESSES", 0.0)


def on(machine: Machine, workdir: Path) -> None:
    Machine.objects.filter(pk=machine.pk).update(workdir=str(workdir))
    machine.refresh_from_db()


def fill(folder: Path) -> None:
    """To the last block that there is."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_a_disk_that_fills_while_a_run_trains(ground: Ground, user: User, small_disk: Path) -> None:
    on(ground.machine, small_disk)
    ground.trainer.plan(steps=2000, gated=True)
    job = ground.launched(user)
    ground.trainer.go(2)
    eventually(lambda: far.looked(job).step == 2)
    fill(small_disk)
    ground.trainer.go(2000)
    job = far.until(job, Status.FAILED)
    assert "OSError: [Errno 28] No space left on device (fake_trainer.py, line" in job.reason
    assert 2 <= job.step < 2000
    assert far.losses(job) == list(range(1, job.step + 1))
    assert not job.leases.exists()


def test_a_run_that_could_not_even_log_why_it_failed(
    ground: Ground, user: User, small_disk: Path
) -> None:
    on(ground.machine, small_disk)
    ground.trainer.plan(steps=3, exit=1)
    job = ground.launched(user)
    eventually(Path(job.run_dir, "exit_code").exists)
    fill(small_disk)
    job = far.until(job, Status.FAILED)
    assert job.reason == f"Exit code 1 at step 3 of 3. The disk of {ground.machine} is full."


def test_a_disk_that_is_full_before_a_run_starts(
    ground: Ground, user: User, small_disk: Path
) -> None:
    on(ground.machine, small_disk)
    fill(small_disk)
    job = ground.launched(user)
    assert job.status == Status.FAILED
    assert re.search("The disk of .* is full|No space left on device", job.reason)
    assert list(small_disk.rglob("pid")) == []


def test_a_work_folder_that_is_removed_under_a_run(ground: Ground, user: User) -> None:
    """What still runs is not called gone: it keeps its devices until it is stopped."""
    ground.trainer.plan(steps=3, gated=True)
    job = ground.launched(user)
    ground.trainer.go(1)
    eventually(lambda: far.looked(job).step == 1)
    record = json.loads(Path(job.run_dir, "pid").read_text())
    wrapper, process = (psutil.Process(record[part]["pid"]) for part in ("wrapper", "process"))
    shutil.rmtree(Path(job.run_dir).parent)
    Job.objects.filter(pk=job.pk).update(started_at=timezone.now() - timedelta(seconds=121))
    job = far.looked(job)
    assert (job.status, job.step) == (Status.RUNNING, 1)
    message = job.events.get(kind="silent").message
    assert message == "Its run directory is gone, but a process of the run lives."
    assert lives(process)
    assert end.stop(job, who="ada")
    end.stop_run(job)
    eventually(lambda: not lives(process) and not lives(wrapper))
    job = far.until(job, Status.LOST)
    assert job.reason.startswith("Its run directory is gone, and so are its processes.")


def test_a_work_folder_that_is_gone_before_a_run_starts_is_made_again(
    ground: Ground, user: User
) -> None:
    """The folder itself, where its parent may be written to; what is no folder is named."""
    ground.trainer.plan(steps=1)
    runs = Path(ground.machine.workdir, "runs")
    shutil.rmtree(runs, ignore_errors=True)
    assert far.until(ground.launched(user), Status.COMPLETED).step == 1
    shutil.rmtree(runs)
    runs.touch()
    job = ground.launched(user)
    assert job.status == Status.FAILED
    assert "run directory could not be made" in job.reason
    assert runner_for(ground.machine).exists(str(runs))
