"""Runs on another machine, behind a real sshd: started, watched, lost from sight, seen again."""

import hashlib
import json
import random
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from compute.machines.local import local_machine
from compute.models import Machine
from compute.runners import fetching
from compute.runners.ssh import folders
from compute.runners.ssh.connection import close_all
from jobs import resuming
from jobs.checkpoints import list_checkpoints
from jobs.files import fetching as fetching_jobs
from jobs.files.telling import Telling
from jobs.launch import end, start
from jobs.models import Job, Status
from monitoring.mirror import keep_log, log_file
from monitoring.watch.watching_machine import MachineWatcher
from platform_site.work import tasks
from tests import factories
from tests.compute.runners.conftest import Place, far_place
from tests.sshd import Account, Sshd
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("queue")
STOP = threading.Event()


@pytest.fixture
def place(far_account: Account, far_folder: Path, own_sshd: Sshd) -> Place:
    return far_place(far_account, far_folder, own_sshd)


@pytest.fixture(autouse=True)
def little_room_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MARGIN", 1 << 20)
    monkeypatch.setattr(fetching, "MARGIN", 1 << 20)


@pytest.fixture
def machine(place: Place, own_sshd: Sshd) -> Machine:
    address = own_sshd.address()
    made = factories.make_ssh_machine(
        host=address.host,
        port=address.port,
        user=address.login.user,
        host_key=address.host_key,
        workdir=str(place.workdir),
        python=place.trainer.python,
        slots=2,
    )
    made.secrets.create(name="private_key", value=address.login.private_key, set_at=timezone.now())
    return made


@pytest.fixture
def model(place: Place) -> str:
    return str(factories.make_model_folder(place.folder("model")))


@pytest.fixture
def data(home: Path) -> Path:
    return factories.write_sft_rows(home / "rows.parquet", 64)


def queued(user: User, machine: Machine, data: Path, model: str, **fields: Any) -> Job:
    spec = factories.sft_spec(train_files=str(data), val_files=str(data), model_path=model)
    given = {"status": Status.QUEUED, "queued_at": timezone.now(), "spec": spec.to_json()}
    return factories.make_job(user, machine=machine, **given | fields)


def launched(job: Job) -> Job:
    claimed = start.claim_next(job.machine_id)
    assert claimed == job
    start.launch(claimed)
    job.refresh_from_db()
    return job


def looked(job: Job) -> Job:
    """After one look of the watcher's thread for this machine."""
    assert MachineWatcher(job.machine).turn(STOP)
    return Job.objects.select_related("machine").get(pk=job.pk)


def until(job: Job, status: Status) -> Job:
    eventually(lambda: looked(job).status == status, what=f"{job} {status}")
    return looked(job)


def losses(job: Job) -> list[int]:
    return [step for name, step in factories.points_of(job) if name == "train/loss"]


def test_a_whole_run(
    user: User, machine: Machine, place: Place, data: Path, model: str, page: Client, own_sshd: Sshd
) -> None:
    place.trainer.plan(steps=3)
    job = launched(queued(user, machine, data, model))
    assert job.status == Status.RUNNING
    job = until(job, Status.COMPLETED)
    assert losses(job) == [1, 2, 3]
    far_log = Path(job.run_dir, "train.log").read_bytes()
    assert log_file(job).read_bytes() == far_log
    argv = json.loads(Path(job.run_dir, "argv.json").read_text())
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    assert f"data.train_files={place.workdir}/files/{digest}/rows.parquet" in argv
    assert Path(place.workdir, "files", digest, "rows.parquet").read_bytes() == data.read_bytes()
    own_sshd.stop()
    close_all()
    text = page.get(job.get_absolute_url()).content.decode()
    assert "Total training steps: 3" in text  # the page asked nobody


def test_what_a_run_reads_is_sent_once(
    user: User, machine: Machine, place: Place, data: Path, model: str
) -> None:
    launched(queued(user, machine, data, model))
    [file] = place.workdir.glob("files/*/rows.parquet")
    before = file.stat()
    launched(queued(user, machine, data, model))
    assert [file] == list(place.workdir.glob("files/*/rows.parquet"))
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_model_that_is_not_there_starts_nothing(
    user: User, machine: Machine, place: Place, data: Path
) -> None:
    job = launched(queued(user, machine, data, "/models/none"))
    assert job.status == Status.FAILED
    assert "no model at /models/none" in job.reason
    assert not Path(job.run_dir).exists()


def own_model(home: Path) -> Path:
    """A model of 6 MiB on the platform's machine."""
    folder = factories.make_model_folder(home / "models/own")
    weights = factories.safetensors({}, random.Random(3).randbytes(6 << 20))
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def sent_model(job: Job) -> Path:
    argv = json.loads(Path(job.run_dir, "argv.json").read_text())
    [path] = [part.partition("=")[2] for part in argv if part.startswith("model.path=")]
    return Path(path)


def test_a_model_that_is_here_only_is_sent_once(
    user: User, machine: Machine, place: Place, data: Path, home: Path
) -> None:
    model = own_model(home)
    job = until(launched(queued(user, machine, data, str(model))), Status.COMPLETED)
    path = sent_model(job)
    assert path.parent == place.workdir / "models"
    assert {p.name: p.read_bytes() for p in path.iterdir()} == {
        p.name: p.read_bytes() for p in model.iterdir()
    }
    inode = (path / "model.safetensors").stat().st_ino
    other = until(launched(queued(user, machine, data, str(model))), Status.COMPLETED)
    assert sent_model(other) == path
    assert (path / "model.safetensors").stat().st_ino == inode


def test_a_model_that_its_user_may_not_read_there_is_sent(
    user: User, machine: Machine, place: Place, data: Path, settings: Settings
) -> None:
    """The tests' root makes the file, so that the account of the machine cannot read it."""
    there = factories.make_model_folder(place.folder("models/shared"))
    (there / "model.safetensors").chmod(0o600)
    settings.TRAINYARD_PATHS = [*settings.TRAINYARD_PATHS, there]
    job = until(launched(queued(user, machine, data, str(there))), Status.COMPLETED)
    path = sent_model(job)
    assert path.parent == place.workdir / "models"
    assert (path / "model.safetensors").read_bytes() == (there / "model.safetensors").read_bytes()


def test_a_model_cut_while_it_is_sent_goes_on(
    user: User, machine: Machine, data: Path, home: Path, own_sshd: Sshd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    told: list[tuple[int, str]] = []
    tell, cuts = Telling.__call__, [own_sshd.cut]

    def tell_and_cut(self: Telling, done: int, total: int) -> None:
        self.next = 0.0
        tell(self, done, total)
        if self.does == "Sending" and "model" in self.name:
            told.append((done, self.job.reason))
            if cuts and done > 3 << 20:
                cuts.pop()()

    monkeypatch.setattr(Telling, "__call__", tell_and_cut)
    job = launched(queued(user, machine, data, str(own_model(home))))
    assert (job.status, job.attempt) == (Status.QUEUED, 1)
    assert "was cut after" in job.reason
    assert re.fullmatch(r"Sending model own: \d+ % of 6.0 MiB\.", told[-1][1])
    told.clear()
    eventually(lambda: looked(job).machine.unreachable_since is None)
    until(launched(job), Status.COMPLETED)
    assert next(done for done, _ in told if done > 100) > 1 << 20  # what had arrived stayed there


def test_a_job_trains_on_from_a_model_of_another_machine(
    user: User, machine: Machine, place: Place, data: Path, home: Path
) -> None:
    place.trainer.plan(steps=1)
    before = until(launched(queued(user, machine, data, str(own_model(home)))), Status.COMPLETED)
    folder = Path(before.run_dir, "checkpoints/global_step_1/huggingface")
    place.folder(str(folder.relative_to(place.workdir)))
    factories.make_model_folder(folder)
    (folder / "model.safetensors").write_bytes(b"trained")
    (folder.parent.parent / "latest_checkpointed_iteration.txt").write_text("1")
    job = queued(
        user, local_machine(), data, f"{before.run_dir}/checkpoints/global_step_N/huggingface",
        after=before,
    )  # fmt: skip
    job.inputs.create(source=before, role="model")
    launched(job)
    model = Path(str(job.spec_of_kind.values["model_path"]))
    assert model == home / f"fetched/{before.uuid}/attempt-1-global_step_1-huggingface"
    assert (model / "model.safetensors").read_bytes() == b"trained"
    end.stop_run(job)


def test_a_checkpoint_is_brought_here(
    user: User, machine: Machine, place: Place, data: Path, model: str, home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    job = until(launched(queued(user, machine, data, model)), Status.COMPLETED)
    folder = place.folder(f"runs/{job.uuid}/attempt-1/checkpoints/global_step_3/actor")
    content = random.Random(4).randbytes(3 << 20)
    (folder / "model.pt").write_bytes(content)
    (folder.parent.parent / "latest_checkpointed_iteration.txt").write_text("3")
    list_checkpoints(job)
    started: list[list[str]] = []
    monkeypatch.setattr("subprocess.Popen", lambda argv, **_: started.append(argv))
    tasks.start("jobs.fetch", fetching_jobs.ask(job, 3, who="ada").pk)
    call_command(*started[0][2:])  # what a process of its own does
    fetch = job.fetches.get()
    assert (fetch.state, fetch.error) == ("done", "")
    target = home / f"fetched/{job.uuid}/global_step_3"
    assert (target / "actor/model.pt").read_bytes() == content


@pytest.mark.parametrize("limit", ["TRAINYARD_LARGEST_LOG", "TRAINYARD_KEEP_FREE"])
def test_a_log_without_end_does_not_fill_this_disk(
    user: User, machine: Machine, place: Place, data: Path, model: str, page: Client,
    settings: Settings, limit: str,
) -> None:  # fmt: skip
    setattr(settings, limit, {"TRAINYARD_LARGEST_LOG": 100, "TRAINYARD_KEEP_FREE": 1 << 60}[limit])
    place.trainer.plan(steps=3, gated=True)
    job = launched(queued(user, machine, data, model))
    place.trainer.go(2)
    eventually(lambda: looked(job).step == 2)
    place.trainer.go(3)
    job = until(job, Status.COMPLETED)
    assert losses(job) == [1, 2, 3]  # figures went on
    far_log = Path(job.run_dir, "train.log").read_bytes()
    assert len(far_log) > 100
    kept = log_file(job).read_bytes() if log_file(job).exists() else b""
    assert kept == far_log[: 100 if limit == "TRAINYARD_LARGEST_LOG" else 0]
    said = f"All of it is in {job.run_dir}/train.log on {machine}. Figures go on."
    assert said in page.get(job.get_absolute_url()).content.decode()
    assert job.events.filter(kind="log left out").count() == 1


def test_no_holes_are_left_in_a_log(user: User, machine: Machine, settings: Settings) -> None:
    job = factories.make_job(user, machine=machine, status=Status.RUNNING)
    keep_log(job, 0, b"one ")
    settings.TRAINYARD_LARGEST_LOG = 6
    keep_log(job, 4, b"two ")
    settings.TRAINYARD_LARGEST_LOG = 600
    keep_log(job, 8, b"three ")
    assert log_file(job).read_bytes() == b"one tw"
    settings.TRAINYARD_LARGEST_LOG = 8
    again = factories.make_job(user, machine=machine, status=Status.RUNNING)
    keep_log(again, 0, b"12345")
    again.attempt = 2
    keep_log(again, 0, b"12345")  # all attempts together
    assert log_file(again).read_bytes() == b"123"


def test_out_of_sight_and_back(
    user: User, machine: Machine, place: Place, data: Path, model: str, own_sshd: Sshd, page: Client
) -> None:
    place.trainer.plan(steps=6, gated=True)
    job = launched(queued(user, machine, data, model))
    place.trainer.go(2)
    eventually(lambda: looked(job).step == 2)
    own_sshd.stop()
    before = job.revision
    job = looked(job)
    assert job.status == Status.RUNNING
    assert job.revision > before  # open pages are told
    machine.refresh_from_db()
    assert machine.unreachable_since is not None
    text = page.get(job.get_absolute_url()).content.decode()
    assert "is unreachable since" in text
    assert "as last known" in text
    place.trainer.go(6)  # the run goes on all the same
    own_sshd.start()
    job = until(job, Status.COMPLETED)
    machine.refresh_from_db()
    assert machine.unreachable_since is None
    assert losses(job) == [1, 2, 3, 4, 5, 6]
    assert log_file(job).read_bytes() == Path(job.run_dir, "train.log").read_bytes()


def test_a_connection_that_is_cut_is_made_again(
    user: User, machine: Machine, place: Place, data: Path, model: str, own_sshd: Sshd
) -> None:
    place.trainer.plan(steps=5, gated=True)
    job = launched(queued(user, machine, data, model))
    for step in range(1, 6):
        place.trainer.go(step)
        eventually(lambda step=step: looked(job).step == step)  # type: ignore[misc]
        own_sshd.cut()
    assert until(job, Status.COMPLETED).step == 5
    assert losses(job) == [1, 2, 3, 4, 5]


def test_a_job_waits_for_a_machine_that_does_not_answer(
    user: User, machine: Machine, place: Place, data: Path, model: str, own_sshd: Sshd
) -> None:
    job = queued(user, machine, data, model)
    own_sshd.stop()
    close_all()
    launched(job)
    assert job.status == Status.QUEUED
    machine.refresh_from_db()
    assert job.reason == machine.unreachable_reason != ""
    assert start.claim_next(machine.pk) is None  # it is not tried over and over
    own_sshd.start()
    eventually(lambda: looked(job).machine.unreachable_since is None)
    launched(job)
    until(job, Status.COMPLETED)


def test_a_pause_reaches_the_far_run(
    user: User, machine: Machine, place: Place, data: Path, model: str
) -> None:
    place.trainer.plan(steps=3, gated=True)
    job = launched(queued(user, machine, data, model))
    assert resuming.pause(job, who="ada")
    resuming.ask_run(job, "pause")
    assert Path(job.run_dir, "control/pause").exists()
