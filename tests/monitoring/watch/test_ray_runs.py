"""Runs on a real Ray cluster, through the platform: its watcher, its pages, its verdicts."""

import hashlib
import signal
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from compute.machines.runners import runner_for
from compute.models import Machine
from jobs.launch import end, start
from jobs.models import Job, Status
from tests import factories, processes
from tests.fakes import FakeTrainer
from tests.ray_cluster import RayCluster
from tests.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
WITHIN = 180  # seconds


@pytest.fixture
def machine(db: None, cluster: RayCluster, trainer: FakeTrainer, tmp_path: Path) -> Machine:
    made = factories.make_machine(
        kind=Machine.Kind.RAY, ray_address=cluster.address, workdir=str(tmp_path / "work"),
        python=trainer.python, slots=2, facts={"nodes": [{"name": "a", "cpus": 32, "gpus": 2}]},
    )  # fmt: skip
    made.secrets.create(name="password", value=cluster.token, set_at=timezone.now())
    return made


def claimed(user: User, machine: Machine, home: Path, tmp_path: Path) -> Job:
    data = factories.write_sft_rows(home / "rows.parquet", 64)
    model = factories.make_model_folder(tmp_path / "model")
    spec = factories.sft_spec(train_files=str(data), val_files=str(data), model_path=str(model))
    given = {"status": Status.QUEUED, "queued_at": timezone.now(), "spec": spec.to_json()}
    job = start.claim_next(factories.make_job(user, machine=machine, **given).machine_id)
    assert job is not None
    return job


def becomes(job: Job, status: Status) -> Job:
    def look() -> bool:
        job.refresh_from_db()
        return job.status == status

    eventually(look, WITHIN, f"{status}")
    return job


def steps_of(job: Job) -> list[int]:
    return [step for name, step in factories.points_of(job) if name == "train/loss"]


def test_a_run_is_seen_to_its_end_though_the_watcher_is_killed(
    user: User,
    machine: Machine,
    trainer: FakeTrainer,
    home: Path,
    tmp_path: Path,
    page: Client,
) -> None:
    env = processes.environment(home)
    trainer.plan(steps=5, gated=True)
    job = claimed(user, machine, home, tmp_path)
    done = processes.run("launch", str(job.pk), env=env, within=WITHIN)
    assert done.returncode == 0, done.stderr
    becomes(job, Status.RUNNING)
    trainer.go(2)
    with processes.running("watchjobs", env=env) as watcher:
        eventually(lambda: steps_of(job) == [1, 2], WITHIN, "two steps")
        watcher.send_signal(signal.SIGKILL)
    trainer.go(4)
    with processes.running("watchjobs", env=env):
        eventually(lambda: steps_of(job) == [1, 2, 3, 4], WITHIN, "four steps")
        trainer.go(5)
        becomes(job, Status.COMPLETED)
    assert steps_of(job) == [1, 2, 3, 4, 5]
    kinds = [event.kind for event in job.events.order_by("pk")]
    assert [kinds.count(kind) for kind in ("started", "exited", "completed")] == [1, 1, 1]
    there = Path(job.run_dir, "train.log").read_bytes()
    assert runner_for(machine).read(f"{job.run_dir}/train.log", 0, 1 << 20) == there
    digest = hashlib.sha256((home / "rows.parquet").read_bytes()).hexdigest()
    assert (tmp_path / f"work/files/{digest}/rows.parquet").is_file()
    assert "Total training steps: 5" in page.get(job.get_absolute_url()).content.decode()


def test_stop_and_what_became_of_it(
    user: User, machine: Machine, trainer: FakeTrainer, home: Path, tmp_path: Path
) -> None:
    env = processes.environment(home)
    trainer.plan(steps=5, gated=True)
    job = claimed(user, machine, home, tmp_path)
    processes.run("launch", str(job.pk), env=env, within=WITHIN)
    with processes.running("watchjobs", env=env):
        becomes(job, Status.RUNNING)
        assert end.stop(job, who="ada")
        end.stop_run(job)
        becomes(job, Status.STOPPED)
    assert job.exit_code == 143
