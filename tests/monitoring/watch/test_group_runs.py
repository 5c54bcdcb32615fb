"""Machines that train one run together: two accounts behind a real sshd, a real Ray over both."""

import getpass
import json
import os
import shlex
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.machines import groups
from compute.models import Machine
from compute.runners.ssh.connection import close_all
from compute.runners.ssh.runner import SshRunner
from jobs.launch import start
from jobs.models import Job, Status
from monitoring.watch.watching_machine import MachineWatcher
from tests import factories
from tests.fakes import HERE, NODE
from tests.sshd import PYTHON as FAR_PYTHON
from tests.sshd import Account, Sshd
from tests.waiting import eventually

pytestmark = [pytest.mark.usefixtures("queue"), pytest.mark.ray]
TRAINING = NODE.parent / "verl-0.9/.venv/bin/python"
STOP = threading.Event()
PYTHON = """#!/bin/sh
# The node's commands and Ray are real; the trainer is a fake.
export RAY_gcs_rpc_server_reconnect_timeout_s=5 RAY_prestart_worker_first_driver=0
case "$2" in trainyard_node.*) exec {python} "$@" ;; esac
case "$1" in -c) exec {python} "$@" ;; esac
exec {python} {fake} {folder} "$@"
"""


@pytest.fixture
def server() -> Iterator[Sshd]:
    """It lets in whoever runs the tests: who else may read the training environment?"""
    with Sshd(Account(getpass.getuser(), "")) as server:
        yield server
        close_all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A work folder that both machines share."""
    made = tmp_path / "far"
    made.mkdir()
    return made


def make_member(server: Sshd, folder: Path, name: str) -> Machine:
    python = folder.parent / "python"
    values = {"python": TRAINING, "fake": HERE / "fake_joint_trainer.py", "folder": folder}
    python.write_text(PYTHON.format(**{n: shlex.quote(str(value)) for n, value in values.items()}))
    python.chmod(0o755)
    address = server.address()
    made = factories.make_ssh_machine(
        name=name, host=address.host, port=address.port, user=address.login.user,
        host_key=address.host_key, workdir=str(folder), python=str(python), gpus=0,
    )  # fmt: skip
    made.secrets.create(name="private_key", value=address.login.private_key, set_at=timezone.now())
    return made


@pytest.fixture
def group(db: None, server: Sshd, folder: Path) -> Machine:
    # Ray takes 127.0.0.1 for the machine's outer address.
    places = {"anna": "127.0.0.2", "bert": "127.0.0.3"}
    members = [(make_member(server, folder, name), at) for name, at in places.items()]
    return groups.join("both", members)


@pytest.fixture
def job(user: User, group: Machine, folder: Path, home: Path) -> Job:
    data = factories.write_rl_rows(home / "rows.parquet", 64)
    model = factories.make_model_folder(folder / "model")
    files = {"train_files": str(data), "val_files": str(data), "model_path": str(model)}
    spec = factories.grpo_spec(**files, gpus=2, device="cpu", reward_file="")
    return factories.make_job(
        user, machine=group, kind="grpo", spec=spec.to_json(), status=Status.QUEUED,
        queued_at=timezone.now(),
    )  # fmt: skip


def launch(job: Job) -> Job:
    assert start.claim_next(job.machine_id) == job
    claimed = Job.objects.select_related("machine", "owner").get(pk=job.pk)
    start.launch(claimed)
    claimed.refresh_from_db()
    return claimed


def until(job: Job, status: Status) -> Job:
    def look() -> bool:
        assert MachineWatcher(job.machine).turn(STOP)
        return Job.objects.get(pk=job.pk).status == status

    eventually(look, 60, what=f"{job} {status}")
    return Job.objects.get(pk=job.pk)


def parts(job: Job) -> list[psutil.Process]:
    """The keepers of the parts, and all below them."""
    files = sorted(Path(job.run_dir, "cluster").glob("*/pid"))
    records: list[Any] = [json.loads(file.read_text()) for file in files]
    keepers = [psutil.Process(record["wrapper"]["pid"]) for record in records]
    return [each for keeper in keepers for each in (keeper, *keeper.children(recursive=True))]


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def go(folder: Path) -> None:
    (folder / "go").write_text("3")


def test_a_run_over_both(job: Job, folder: Path) -> None:
    job = launch(job)
    assert job.status == Status.RUNNING, job.reason
    assert {"trainer.nnodes=2", "trainer.n_gpus_per_node=1"} <= set((job.command or {})["argv"])
    assert job.events.filter(kind="joined").get().message == "Ray is up on anna, bert."
    token = "RAY_AUTH_TOKEN"
    assert token not in Path(job.run_dir, "run.sh").read_text(), "it lets anybody in"
    ranks = Path(job.run_dir, "ranks.json")
    eventually(ranks.exists, 60)
    eventually(ranks.read_text)
    where = json.loads(ranks.read_text())
    assert sorted(place for place, _ in where) == ["127.0.0.2", "127.0.0.3"]
    assert {run_dir for _, run_dir in where} == {job.run_dir}
    processes = parts(job)
    assert len(processes) > 8
    go(folder)
    job = until(job, Status.COMPLETED)
    assert job.step == 3
    eventually(lambda: all(map(gone, processes)), what="the end of Ray")
    assert not job.events.filter(kind="not taken down").exists()


def test_nothing_stays_when_the_platform_is_away(job: Job, folder: Path, server: Sshd) -> None:
    job = launch(job)
    processes = parts(job)
    assert len(processes) > 8
    close_all()
    server.stop()  # nobody can ask for anything any more
    go(folder)
    eventually(Path(job.run_dir, "exit_code").exists, 60)
    eventually(lambda: all(map(gone, processes)), 60, what="the end of Ray")
    server.start()
    assert until(job, Status.COMPLETED).step == 3


def test_a_head_that_is_killed_ends_the_run(job: Job, folder: Path) -> None:
    job = launch(job)
    eventually(Path(job.run_dir, "ranks.json").exists, 60)
    processes = parts(job)
    [head] = Path(job.run_dir, "cluster").glob("*-0/pid")
    os.kill(json.loads(head.read_text())["process"]["pid"], signal.SIGKILL)
    assert until(job, Status.FAILED).exit_code != 0
    eventually(lambda: all(map(gone, processes)), 30, what="the end of Ray")


def test_one_that_cannot_join_is_named(job: Job, group: Machine, folder: Path) -> None:
    """Its Python has the node's commands, and no Ray."""
    lacks = folder.parent / "lacks"
    lacks.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(NODE))} exec {FAR_PYTHON} "$@"\n')
    lacks.chmod(0o755)
    Machine.objects.filter(name="bert").update(python=str(lacks))
    job = launch(job)
    assert job.status == Status.FAILED
    assert "bert did not join: its Ray ended. Its last words:" in job.reason
    assert "No module named 'ray'" in job.reason
    assert not Path(job.run_dir, "run.sh").exists()
    eventually(lambda: all(map(gone, parts_or_none(job))), what="the end of Ray")


def parts_or_none(job: Job) -> list[psutil.Process]:
    try:
        return parts(job)
    except psutil.NoSuchProcess:
        return []  # gone already


def test_a_folder_that_is_not_shared_is_refused(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have the same disk here, so the second one is made blind for what the first wrote."""
    look = SshRunner.exists
    sees = lambda runner, path: "/cluster/" not in path and look(runner, path)  # noqa: E731
    monkeypatch.setattr(SshRunner, "exists", sees)
    job = launch(job)
    assert job.status == Status.FAILED
    assert "The work folder of bert is not the one of anna" in job.reason
    eventually(lambda: all(map(gone, parts_or_none(job))), what="the end of Ray")
