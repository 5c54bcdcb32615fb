"""Checkpoints of far runs on this machine: asked once, kept in a row, shown, cancelled."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from compute.models import Machine
from compute.runners import fetching as bringing
from compute.runners.base import FileFact, RunnerError, Told
from compute.runners.local.runner import LocalRunner
from jobs.checkpoints import list_checkpoints
from jobs.files import fetching
from jobs.models import Fetch, Job, Status
from platform_site.work import verbs
from platform_site.work.models import State
from tests import factories, taskqueue

pytestmark = pytest.mark.usefixtures("queue")
CONTENT = b"weights " * 1000


@pytest.fixture
def machine(db: None) -> Machine:
    return factories.make_ssh_machine(python="/venv/bin/python", workdir="/far")


@pytest.fixture
def job(user: User, machine: Machine) -> Job:
    made = factories.make_job(user, machine=machine, status=Status.COMPLETED, step=3)
    factories.keep_checkpoints(made, {3: len(CONTENT), 4: len(CONTENT)}, latest=3)
    return made


@pytest.fixture(autouse=True)
def far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The far folder, which a runner of this machine reads: SSH has its own tests."""
    folder = tmp_path / "far"
    folder.mkdir()
    (folder / "model.pt").write_bytes(CONTENT)
    monkeypatch.setattr(bringing, "MARGIN", 1 << 20)

    class Runner(LocalRunner):
        def files(self, path: str) -> Iterator[FileFact]:
            return super().files(str(folder))

        def get(self, path: str, target: Path, told: Told) -> None:
            super().get(str(folder / Path(path).name), target, told)

    monkeypatch.setattr(fetching, "runner_for", lambda machine: Runner("", "/"))
    return folder


def url(job: Job, what: str = "fetch/") -> str:
    return f"/jobs/{job.pk}/{what}"


def shown(page: Client, job: Job) -> str:
    return page.get(url(job, "checkpoints/")).content.decode()


def ignore(done: int, total: int) -> None:
    pass


def test_a_button_brings_it_once(
    page: Client, job: Job, home: Path, django_capture_on_commit_callbacks: OnCommit
) -> None:
    assert "Bring here" in page.get(job.get_absolute_url()).content.decode()
    before = job.revision
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(2):  # in two tabs
            assert page.post(url(job), {"step": "3"}).status_code == 302
    fetch = Fetch.objects.get()
    assert (fetch.state, fetch.who) == (State.WAITING, "ada")
    assert taskqueue.take_all() == [("platform_site.work.tasks.start", ("jobs.fetch", fetch.pk))]
    job.refresh_from_db()
    assert job.revision > before
    text = shown(page, job)
    assert "Waiting to begin" in text
    assert 'hx-trigger="every 2s"' in text
    fetching.work_off(fetch)
    assert Path(home, f"fetched/{job.uuid}/global_step_3/model.pt").read_bytes() == CONTENT
    text = shown(page, job)
    assert f"fetched/{job.uuid}/global_step_3" in text
    assert "also here" in text
    assert "every 2s" not in text
    assert [e.kind for e in job.events.all()] == ["checkpoint asked for", "checkpoint fetched"]


@pytest.mark.parametrize("step", ["", "x", "-1", "9" * 40, "3\0"])
def test_no_step_is_422(page: Client, job: Job, step: str) -> None:
    assert page.post(url(job), {"step": step}).status_code == 422
    assert page.post(url(job, "fetch/cancel/"), {"step": step}).status_code == 422
    assert not Fetch.objects.exists()


def test_someone_else_s_is_404_and_get_is_405(client: Client, other: User, job: Job) -> None:
    client.force_login(other)
    for what in ("fetch/", "fetch/cancel/"):
        assert client.post(url(job, what), {"step": "3"}).status_code == 404
        assert client.get(url(job, what)).status_code == 405
    assert client.get(url(job, "checkpoints/")).status_code == 404


@pytest.mark.parametrize(
    ("step", "why"), [("7", "No checkpoint of step 7 is known"), ("4", "is not complete: wait")]
)
def test_what_cannot_come_is_said(page: Client, job: Job, step: str, why: str) -> None:
    response = page.post(url(job), {"step": step}, follow=True)
    assert why in response.content.decode()
    assert not Fetch.objects.exists()


def test_of_this_machine_there_is_nothing_to_bring(page: Client, user: User) -> None:
    job = factories.make_job(user, status=Status.COMPLETED)
    factories.write_run_file(job, "checkpoints/global_step_3/model.pt", b"x")
    factories.write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", "3")
    list_checkpoints(job)
    assert "Bring here" not in shown(page, job)
    response = page.post(url(job), {"step": "3"}, follow=True)
    assert "It is on this machine already" in response.content.decode()


def test_a_failure_is_shown_and_asked_again(
    page: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_disk(*_: object) -> None:
        raise RunnerError("The disk of this machine is full.")

    fetch = fetching.ask(job, 3, who="ada")
    with monkeypatch.context() as patch:
        patch.setattr(bringing, "fetch", no_disk)
        assert fetching.work_off(fetch)
    text = shown(page, job)
    assert "The disk of this machine is full. Ask again: what came is kept" in text
    assert "Bring here" in text
    fetching.work_off(fetching.ask(job, 3, who="ada"))
    assert Fetch.objects.get().is_here


def test_cancel(page: Client, job: Job) -> None:
    fetch = fetching.ask(job, 3, who="ada")

    def press(done: int, total: int) -> None:
        page.post(url(job, "fetch/cancel/"), {"step": "3"})
        assert "Ending" in shown(page, job)

    assert fetching.work_off(fetch, press)
    assert (fetch.state, fetch.error[:17]) == (State.CANCELLED, "It was cancelled.")
    assert job.events.filter(kind="checkpoint fetch cancelled").count() == 1
    fetching.ask(job, 3, who="ada")
    page.post(url(job, "fetch/cancel/"), {"step": "3"})
    assert Fetch.objects.get().state == State.CANCELLED
    response = page.post(url(job, "fetch/cancel/"), {"step": "3"}, follow=True)
    assert "No checkpoint of step 3 was on its way." in response.content.decode()


def test_a_process_that_died_is_not_waited_for(page: Client, job: Job) -> None:
    fetch = fetching.ask(job, 3, who="ada")
    assert verbs.claim(fetch)
    assert not fetching.work_off(fetch)
    with pytest.raises(fetching.FetchError, match="on its way already"):
        fetching.fetch_now(job, 3, who="ada", told=ignore)
    Fetch.objects.update(beat_at=timezone.now() - timedelta(minutes=2))
    assert "What brought it here is gone" in shown(page, job)
    fetching.work_off(fetching.ask(job, 3, who="ada"))
    assert Fetch.objects.get().is_here


def test_commands(
    job: Job, staff: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("checkpoints", job.pk, "--json")
    rows = json.loads(capsys.readouterr().out)
    assert [(row["step"], row["is_complete"], row["here"]) for row in rows] == [
        (4, False, None),
        (3, True, None),
    ]
    into = tmp_path / "mine"
    call_command("fetch", job.pk, "--step", "3", "--to", str(into), "--json")
    data = json.loads(capsys.readouterr().out)
    assert data["folder"] == str(into / "global_step_3")
    assert (into / "global_step_3/model.pt").read_bytes() == CONTENT
    call_command("fetch", job.pk, "--step", "3", "--to", str(into))  # nothing comes twice
    call_command("checkpoints", job.pk)
    assert f"here: {into}/global_step_3" in capsys.readouterr().out
    (tmp_path / "other/global_step_3").mkdir(parents=True)
    with pytest.raises(CommandError, match=r"is there already\. Name another folder"):
        call_command("fetch", job.pk, "--step", "3", "--to", str(tmp_path / "other"))
    with pytest.raises(CommandError, match="No checkpoint of step 9"):
        call_command("fetch", job.pk, "--step", "9")
