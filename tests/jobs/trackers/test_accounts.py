"""A tracker's key: into the run's process, and into nothing that anybody can read."""

import io
import json
import logging
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from compute.machines.packages import lacking_packages
from compute.models import Machine
from compute.runners.local.runner import LocalRunner
from jobs.launch import end, start
from jobs.models import Event, Job, Status, TrackerSecret
from jobs.order.preview import Preview
from jobs.trackers import accounts
from jobs.verl.trackers import TRACKERS
from tests import factories
from tests.fakes import FakeTrainer
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("queue")
KEY = "0123456789abcdef-the-api-key"
WANDB = TRACKERS["wandb"]


@pytest.fixture(autouse=True)
def asked_anew() -> None:
    cache.clear()


@pytest.fixture
def all_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalRunner, "lacking", lambda self, packages: set())


def logging_job(owner: User, **values: str) -> Job:
    spec = factories.sft_spec(**({"loggers": "wandb"} | values))
    return factories.make_job(
        owner, spec=spec.to_json(), status=Status.STARTING, started_at=timezone.now()
    )


def run(job: Job) -> None:
    start.launch(job)
    assert job.status == Status.RUNNING, job.reason
    eventually((Path(job.run_dir) / "exit_code").exists, what="an exit code")


def test_the_key_arrives_and_is_found_nowhere_else(
    page: Client,
    user: User,
    trainer: FakeTrainer,
    home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    page.post("/jobs/trackers/wandb/", {"wandb-WANDB_API_KEY": KEY})
    job, seen = logging_job(user), tmp_path / "seen.json"
    trainer.plan(steps=2, env=str(seen))
    run(job)
    assert json.loads(seen.read_text())["WANDB_API_KEY"] == KEY

    files = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    out = io.StringIO()
    call_command("dumpdata", stdout=out)
    assert '"jobs.trackersecret"' in out.getvalue()
    assert KEY not in out.getvalue()
    for url in (f"/jobs/{job.pk}/", f"/jobs/{job.pk}/run.sh", "/jobs/trackers/", "/jobs/"):
        assert KEY.encode() not in page.get(url).content
    assert KEY not in caplog.text
    assert KEY not in json.dumps(job.command)


def test_the_database_file_does_not_hold_it(user: User) -> None:
    accounts.keep(user, WANDB, {"WANDB_API_KEY": KEY})
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM jobs_trackersecret")
        assert KEY not in str(cursor.fetchall())


def test_a_run_gets_the_accounts_of_its_owner_and_its_trackers_only(
    user: User, other: User, staff: User
) -> None:
    accounts.keep(user, WANDB, {"WANDB_API_KEY": KEY, "WANDB_ENTITY": "team"})
    accounts.keep(user, TRACKERS["mlflow"], {"MLFLOW_TRACKING_URI": "http://mlflow.example"})
    accounts.keep(other, WANDB, {"WANDB_API_KEY": "another's"})
    spec = factories.sft_spec(loggers="wandb,tensorboard")
    assert accounts.environment(spec, user) == {"WANDB_API_KEY": KEY, "WANDB_ENTITY": "team"}
    assert accounts.environment(factories.sft_spec(), user) == {}
    with pytest.raises(accounts.TrackerError, match="Weights & Biases needs WANDB_API_KEY"):
        accounts.environment(spec, staff)


def test_a_key_that_was_removed_meanwhile_fails_the_job_before_it_starts(user: User) -> None:
    job = logging_job(user)
    start.launch(job)
    assert job.status == Status.FAILED
    assert job.reason.startswith("It could not be started. Weights & Biases needs WANDB_API_KEY")
    assert not Path(job.run_dir).exists()


def test_a_key_that_does_not_open_fails_the_job_with_what_to_do(user: User, home: Path) -> None:
    accounts.keep(user, WANDB, {"WANDB_API_KEY": KEY})
    (home / "secret_keys").unlink()
    job = logging_job(user)
    start.launch(job)
    assert job.status == Status.FAILED
    assert "does not open with the keys at hand" in job.reason
    found = accounts.problems(factories.sft_spec(loggers="wandb"), user)
    assert ["does not open" in problem.message for problem in found] == [True]


def test_a_key_in_the_last_words_of_a_run_is_masked(user: User) -> None:
    accounts.keep(user, WANDB, {"WANDB_API_KEY": KEY, "WANDB_MODE": "online"})
    job = logging_job(user)
    start.started(job)
    end.finish(job, 1, f"Permission denied for {KEY} online")
    assert KEY not in job.reason
    assert job.reason.endswith(f"Permission denied for {'*' * len(KEY)} online")
    assert not Event.objects.filter(message__contains=KEY).exists()


def test_no_account_is_a_problem_of_the_form(user: User, all_packages: None) -> None:
    [problem] = accounts.problems(factories.sft_spec(loggers="wandb,tensorboard"), user)
    assert problem.field == "loggers"
    assert problem.message == (
        "Weights & Biases needs WANDB_API_KEY: set it on the page Trackers (/jobs/trackers/), or "
        "with manage.py tracker set wandb WANDB_API_KEY."
    )
    accounts.keep(user, WANDB, {"WANDB_API_KEY": KEY})
    assert accounts.problems(factories.sft_spec(loggers="wandb,tensorboard"), user) == []


def test_the_problem_of_an_override_stands_at_the_overrides(user: User, all_packages: None) -> None:
    spec = factories.sft_spec("trainer.logger=[console,file,wandb]")
    assert [problem.field for problem in accounts.problems(spec, user)] == ["overrides"]


def test_a_missing_package_is_a_problem(user: User, machine: Machine) -> None:
    accounts.keep(user, TRACKERS["mlflow"], {"MLFLOW_TRACKING_URI": "http://mlflow.example"})
    # The fake's Python is the platform's, which has no MLflow.
    [problem] = accounts.problems(factories.sft_spec(loggers="mlflow"), user, machine)
    assert problem.message == (
        "The training environment of this machine has no mlflow. Install it there: "
        f"{machine.python} -m pip install mlflow"
    )


def test_a_run_without_trackers_asks_nobody(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalRunner, "lacking", lambda self, packages: pytest.fail("asked"))
    assert accounts.problems(factories.sft_spec(), user) == []


def test_the_python_is_asked_once_for_a_while(
    user: User, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def lacking(self: LocalRunner, packages: list[str]) -> set[str]:
        asked.append(packages)
        return set()

    monkeypatch.setattr(LocalRunner, "lacking", lacking)
    for _ in range(3):
        accounts.problems(factories.sft_spec(loggers="tensorboard"), user, machine)
    assert len(asked) == 1


def test_a_machine_that_does_not_answer_lacks_nothing_here(user: User, machine: Machine) -> None:
    machine.python = "/nowhere/python"
    assert lacking_packages(machine, ["wandb"]) == frozenset()


def test_setting_again_replaces(user: User) -> None:
    for value in ("first-value", KEY):
        accounts.keep(user, WANDB, {"WANDB_API_KEY": value})
    assert TrackerSecret.objects.get().value.open() == KEY


def test_the_preview_does_not_hold_the_key(
    page: Client, user: User, samples: Path, all_packages: None
) -> None:
    from jobs.order.forms import JobForm, form_data
    from jobs.verl.recipes import all_recipes

    accounts.keep(user, WANDB, {"WANDB_API_KEY": KEY})
    recipe = all_recipes()["sample-sft"]
    preview = Preview(JobForm(recipe, user, form_data(recipe, "", ["loggers=wandb"])))
    assert preview.is_valid, preview.problems
    assert "trainer.logger=[console,file,wandb]" in preview.overrides
    assert KEY not in preview.text
