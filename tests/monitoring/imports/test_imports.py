"""Imports of runs: the page, the command, the long work, and the jobs that come of it."""

import contextlib
import errno
import html
import io
import json
import math
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError
from django.test import Client

from jobs.models import Job, Status
from monitoring.imports import services
from monitoring.imports.services import ImportRefused
from monitoring.imports.working import work_off
from monitoring.models import RunImport
from monitoring.store import points
from tests import factories
from tests.monitoring.foreign.test_sources import SAMPLES
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

URL = "/jobs/imports/"
pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def folder() -> Path:
    """The sample runs where the site may read them."""
    return Path(shutil.copytree(SAMPLES, Path(settings.TRAINYARD_HOME) / "elsewhere"))


def imported(user: User, path: Path) -> RunImport:
    work = services.prepared(user, str(path))
    assert work_off(work)
    work.refresh_from_db()
    return work


def test_a_run_of_wandb_becomes_a_job(user: User, page: Client, folder: Path) -> None:
    work = imported(user, folder / "wandb")
    job = work.jobs.get()
    assert (work.state, work.error) == ("done", "")
    assert (job.name, job.kind, job.status, job.step) == ("a-run", "imported", "completed", 5)
    assert job.started_at
    assert job.ended_at
    assert job.started_at <= job.ended_at
    assert job.reason.startswith("Weights & Biases says that it was completed. Left out: 5 values")
    column = points.window(job, ["critic/score/mean"])["critic/score/mean"].column
    assert column.values.tolist() == [0.25, 0.5, 0.75, 1.0, 1.25]
    assert job.spec["config"]["actor.lr"] == 1e-6
    text = page.get(job.get_absolute_url()).content.decode()
    assert "elsewhere; recorded by Weights &amp; Biases" in text
    assert "a line of the log" in text
    assert "start-button" not in text
    assert 'role="alert"' not in text
    assert page.get(f"/jobs/{job.pk}/clone/").status_code == 404


def test_unknown_is_no_success(user: User, folder: Path) -> None:
    job = imported(user, folder / "tensorboard").jobs.get()
    assert job.status == Status.STOPPED
    assert job.reason.startswith("How it ended is not told by TensorBoard.")
    assert not job.can_resume
    assert not job.can_start


def test_a_folder_of_several_tools_becomes_several_jobs(
    user: User, page: Client, folder: Path
) -> None:
    work = imported(user, folder)
    jobs = work.jobs.all()
    assert len(jobs) == 5
    text = page.get(work.get_absolute_url()).content.decode()
    assert "Compare them" in text
    numbers = "&".join(f"job={job.pk}" for job in jobs)
    compared = page.get(f"/jobs/compare/?{numbers}&all").content.decode()
    assert "Actor.lr" in compared
    assert "Imported" in page.get("/jobs/").content.decode()


def test_a_run_of_verl_that_says_steps_again(user: User) -> None:
    path = Path(settings.TRAINYARD_HOME) / "metrics.jsonl"
    lines = [{"step": step, "data": {"loss": at}} for at, step in enumerate((1, 2, 3, 2, 3))]
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 4, "da')
    job = imported(user, path).jobs.get()
    assert points.window(job, ["loss"])["loss"].column.values.tolist() == [0, 3, 4]
    assert "Left out: 1 line that cannot be read." in job.reason


@pytest.mark.backends
def test_settings_that_no_database_takes_do_not_stop_it(user: User, folder: Path) -> None:
    (path,) = (folder / "trackio").rglob("*.db")
    config = {"lr": math.nan, "top": math.inf, "words": "a\0b\ud800", "\0key": [math.nan, "\0"]}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE configs SET config = ?", [json.dumps(config)])
        db.execute("UPDATE configs SET run_name = ?", ["a\0run"])
        db.execute("UPDATE metrics SET run_name = ?", ["a\0run"])
    param = next((folder / "mlruns").rglob("params/lr"))
    param.write_bytes(b"1e-6\0")
    work = imported(user, folder)
    assert (work.state, work.error) == ("done", "")
    every = [(job.name, job.spec["config"]) for job in work.jobs.all()]
    kept = dict(every)
    mark = "\N{REPLACEMENT CHARACTER}"
    assert kept[f"a{mark}run"].items() >= {
        ("lr", "nan"), ("top", "inf"), ("words", f"a{mark}b{mark}"),
        (f"{mark}key", "[nan, '\\x00']"),
    }  # fmt: skip
    assert ("a-run", {"lr": f"1e-6{mark}"}) in every


def test_what_cannot_be_imported_says_why(user: User, tmp_path: Path) -> None:
    path = Path(settings.TRAINYARD_HOME) / "words.txt"
    path.write_text("nothing")
    work = imported(user, path)
    assert work.state == "failed"
    assert work.error.startswith("There is no run in this file that can be imported. Known are")
    assert not Job.objects.exists()


def test_the_page_takes_an_archive(page: Client, user: User, folder: Path) -> None:
    archive = shutil.make_archive(str(folder.parent / "runs"), "zip", folder / "tensorboard")
    upload = SimpleUploadedFile("runs.zip", Path(archive).read_bytes())
    response = page.post(URL, {"file": upload, "title": "my run"})
    work = RunImport.objects.get()
    assert response.headers["Location"] == work.get_absolute_url()
    assert work_off(work)
    assert work.jobs.get().name == "my run"
    assert not work.folder.exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Give one of the two"),
        ({"path": "/etc/passwd"}, "lies outside the allowed folders"),
        ({"path": "relative"}, "is not a whole path"),
        ({"path": "HOME/none"}, "There is no file and no folder"),
    ],
)
def test_wrong_input(page: Client, given: dict[str, str], said: str) -> None:
    sent = {k: v.replace("HOME", str(settings.TRAINYARD_HOME)) for k, v in given.items()}
    response = page.post(URL, sent)
    assert response.status_code == 422
    assert said in response.content.decode()
    assert not RunImport.objects.exists()


def recorded(owner: User, workdir: Path | None = None) -> Path:
    """The folder of a run with figures, on this machine or in the folder of another."""
    job = factories.make_job(owner)
    folder = Path(job.run_dir)
    if workdir is not None:
        folder = workdir / folder.relative_to(settings.TRAINYARD_HOME)
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"step": 1, "data": {"loss": 1}}\n')
    return folder


@pytest.mark.backends
def test_runs_of_others_are_not_read(page: Client, user: User, other: User, staff: User) -> None:
    home = Path(settings.TRAINYARD_HOME)
    own, theirs = recorded(user), recorded(other)
    (home / "imports/7/upload").mkdir(parents=True)
    (home / "link").symlink_to(theirs)
    refused = [home, home / "runs", theirs, theirs / "metrics.jsonl", home / "link"]
    refused += [home / "imports", home / "imports/7/upload", theirs.parent]
    for path in refused:
        response = page.post(URL, {"path": str(path)})
        assert response.status_code == 422
        said = html.unescape(response.content.decode())
        assert "Files of other users lie in" in said or "There is no run of yours at" in said
    assert not RunImport.objects.exists()
    for who, path in ((user, own), (staff, theirs)):
        assert len(imported(who, path).jobs.all()) == 1


def test_a_walk_passes_runs_of_others_over(user: User, other: User) -> None:
    workdir = Path(settings.TRAINYARD_HOME) / "machine"  # of another machine, on the same disk
    recorded(user, workdir)
    recorded(other, workdir)
    work = imported(user, workdir)
    assert len(work.jobs.all()) == 1


@pytest.mark.parametrize("name", ["/".join(["long" * 50] * 5), os.fsdecode(b"caf\xe9")])
def test_a_path_that_no_row_takes(user: User, name: str) -> None:
    path = Path(settings.TRAINYARD_HOME) / name
    path.mkdir(parents=True)
    with pytest.raises(ImportRefused, match="is longer than 1,000 characters or no UTF-8"):
        services.prepared(user, str(path))


def test_whose_it_is_is_looked_at_again(user: User, other: User) -> None:
    path = recorded(user)
    work = services.prepared(user, str(path))
    Job.objects.update(owner=other)
    assert work_off(work)
    work.refresh_from_db()
    assert (work.state, work.error) == ("failed", f"There is no run of yours at {path}.")


def test_the_page_of_one_that_waits(page: Client, user: User, folder: Path) -> None:
    work = services.import_path(user, str(folder / "wandb"))
    part = page.get(work.get_absolute_url(), headers=HTMX).content.decode()
    assert 'hx-trigger="every 1s"' in part
    assert "<html" not in part
    page.post(f"{work.get_absolute_url()}cancel/")
    work.refresh_from_db()
    assert work.state == "cancelled"
    assert "every 1s" not in page.get(work.get_absolute_url()).content.decode()


def test_takes_the_same_queries_for_one_row_and_three(
    page: Client, user: User, folder: Path
) -> None:
    work = imported(user, folder / "wandb")
    one, single = queries(page, URL), queries(page, work.get_absolute_url())
    for place in ("tensorboard", "trackio"):
        work.jobs.add(imported(user, folder / place).jobs.get())
    assert queries(page, URL) == one
    assert queries(page, work.get_absolute_url()) == single


def test_someone_elses(page: Client, other: User, folder: Path) -> None:
    work = services.import_path(other, str(folder / "wandb"))
    assert page.get(work.get_absolute_url()).status_code == 404
    assert page.post(f"{work.get_absolute_url()}cancel/").status_code == 404


def test_anonymous(user: User, folder: Path) -> None:
    work = services.import_path(user, str(folder / "wandb"))
    assert asks_for_login(URL)
    assert asks_for_login(work.get_absolute_url())


def test_wrong_methods(page: Client, user: User, folder: Path) -> None:
    work = services.import_path(user, str(folder / "wandb"))
    assert refuses_other_methods(page, URL, "get", "post")
    assert refuses_other_methods(page, work.get_absolute_url(), "get")
    assert refuses_other_methods(page, f"{work.get_absolute_url()}cancel/", "post")


def command(*argv: str) -> Any:
    out = io.StringIO()
    call_command("import_runs", *argv, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command(staff: User, folder: Path) -> None:
    said = command(str(folder / "trackio"), "--name", "mine", "--user", staff.username)
    assert said["jobs"] == [{"id": Job.objects.get().pk, "name": "mine", "steps": 5}]
    assert said["left_out"] == []
    with pytest.raises(CommandError, match="outside the allowed folders"):
        command("/w/none", "--user", staff.username)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "x"), OperationalError("database or disk is full")]
)
def test_a_full_disk_has_its_own_words(
    user: User, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*args: object) -> None:
        raise error

    monkeypatch.setattr(points, "append", full)
    work = imported(user, folder / "wandb")
    assert (work.state, work.jobs.count(), Job.objects.count()) == ("failed", 0, 0)
    assert work.error.startswith("The disk is full: 0 of 1 runs were kept. Free some space")


def test_other_faults_are_no_full_disk(
    user: User, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> None:
        raise OperationalError("no such table")

    monkeypatch.setattr(points, "append", fails)
    assert "did not expect" in imported(user, folder / "wandb").error


def test_a_log_that_finds_no_room_is_left_out_and_said(
    user: User, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_text("the beginning")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    work = imported(user, folder / "wandb")
    job = work.jobs.get()
    assert work.state == "done"
    assert work.left_out == [f"The log of {job.name} could not be kept: No space left on device."]
    assert not Path(job.run_dir, "train.log").exists()
