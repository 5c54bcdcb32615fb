import fcntl
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from compute.machines.local import local_machine
from compute.models import MachineSample
from jobs.launch.command import script_of
from jobs.models import Job
from jobs.verl.recipes import all_recipes
from platform_site.home import lock_of
from tests import factories, taskqueue
from tests.factories import write_run_file

pytestmark = pytest.mark.usefixtures("queue")
KEYS = {
    "id",
    "name",
    "kind",
    "status",
    "reason",
    "step",
    "steps",
    "exit_code",
    "created_at",
    "queued_at",
    "started_at",
    "ended_at",
    "run_dir",
}


def text(*argv: str) -> str:
    out = io.StringIO()
    call_command(*argv, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def data(*argv: str) -> Any:
    return json.loads(text(*argv, "--json"))


def refusal(*argv: str) -> str:
    with pytest.raises(CommandError) as caught:
        text(*argv)
    return str(caught.value)


def test_recipes() -> None:
    found = {recipe["name"]: recipe for recipe in data("recipes")}
    assert sorted(found) == sorted(all_recipes())
    assert found["sample-sft"]["is_sample"] is True
    assert found["sft"]["kind"] == "sft"
    assert found["grpo"]["values"]["rollout_n"] == 8
    assert "sample-sft" in text("recipes")


def test_preview_starts_nothing(samples: Path, staff: User) -> None:
    found = data("preview", "sample-sft", "--set", "lr=0.25", "--name", "x y")
    assert "optim.lr=0.25" in found["overrides"]
    assert "optim.lr=0.25" in found["argv"]
    assert found["script"].startswith("#!/usr/bin/env bash\n")
    assert found["env"]["VERL_FILE_LOGGER_PATH"] == f"{found['cwd']}/metrics.jsonl"
    assert found["steps"] > 0
    assert text("preview", "sample-sft").startswith("#!/usr/bin/env bash\n")
    assert Job.objects.count() == 0


def test_preview_and_submit_agree(samples: Path, staff: User) -> None:
    same = "uuid=5b1f3a52-7f5e-4d5c-9a3e-0d3f6f0f7a12"
    shown = data("preview", "sample-sft", "--set", same)["script"]
    data("submit", "sample-sft", "--set", same)
    assert script_of(Job.objects.get()) == shown


def test_submit(samples: Path, staff: User, django_capture_on_commit_callbacks: OnCommit) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        found = data("submit", "sample-grpo", "--name", "x'; touch pwned #")
    assert found.keys() >= KEYS
    assert (found["name"], found["kind"]) == ("x'; touch pwned #", "grpo")
    assert (found["status"], found["owner"]) == ("queued", "root")
    assert found["run_dir"].endswith("/attempt-1")
    assert taskqueue.size() == 1


def test_submit_sets_knobs_by_name_and_by_key_and_the_rest_as_overrides(
    samples: Path, staff: User
) -> None:
    sets = ["lr=0.25", "trainer.total_epochs=1", "data.num_workers=3", "overrides=data.tools_key=x"]
    data("submit", "sample-sft", *(part for text in sets for part in ("--set", text)))
    job = Job.objects.get()
    assert job.spec["values"]["lr"] == 0.25
    assert job.spec["values"]["epochs"] == 1
    assert job.spec["overrides"][-2:] == ["data.num_workers=3", "data.tools_key=x"]


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ("lr=abc", "lr: Write a number"),
        ("optim.lrr=1", "overrides: verl 0.9.1 has no key optim.lrr"),
        ("model_path=/nowhere", "model_path: /nowhere lies outside the allowed folders"),
        ("model_path=HOME/none", "model_path: There is no folder"),
        ("model_path=HOME/samples/sft", "has no config.json"),
        ("train_files=HOME/samples/rl/train.parquet", "train_files: No column messages"),
        ("micro_batch_size=7", "does not divide by 7"),
        ("nonsense", "--set nonsense: write key=value."),
    ],
)
@pytest.mark.parametrize("command", ["submit", "preview"])
def test_bad_input_is_told_and_nothing_is_started(
    samples: Path, home: Path, staff: User, command: str, sets: str, words: str
) -> None:
    assert words in refusal(command, "sample-sft", "--set", sets.replace("HOME", str(home)))
    assert Job.objects.count() == 0
    assert taskqueue.size() == 0


def test_a_machine_by_its_name(samples: Path, staff: User) -> None:
    there = factories.make_ssh_machine(name="my rented box", workdir="/far", python="/p")
    for given in ("machine=My rented box", f"machine={there.pk}"):
        assert data("preview", "sample-sft", "--set", given)["cwd"].startswith("/far/runs/")
    said = refusal("preview", "sample-sft", "--set", "machine=nowhere")
    assert "No run can go to nowhere. There are: my rented box, this machine." in said


def test_no_such_recipe(staff: User) -> None:
    assert refusal("submit", "none") == (
        f"There is no recipe none. There are: {', '.join(all_recipes())}."
    )


def test_no_such_user(samples: Path) -> None:
    assert refusal("submit", "sample-sft").startswith("There is no such user.")


def test_submit_for_another(samples: Path, staff: User, user: User) -> None:
    assert data("submit", "sample-sft", "--user", "ada")["owner"] == "ada"


def test_submit_says_when_nothing_runs_the_queue(samples: Path, staff: User) -> None:
    err = io.StringIO()
    call_command("submit", "sample-sft", stdout=io.StringIO(), stderr=err)
    assert "nothing runs the queue" in err.getvalue()
    MachineSample.objects.create(
        machine=local_machine(), at=timezone.now(), data={"cpu_percent": 1}
    )
    err = io.StringIO()
    call_command("submit", "sample-sft", stdout=io.StringIO(), stderr=err)
    assert err.getvalue() == ""


def test_submit_says_nothing_of_the_queue_while_the_platform_runs(
    samples: Path, home: Path, staff: User
) -> None:
    """Also for a machine whose load was not measured yet, and before the first look at ours."""
    err = io.StringIO()
    with lock_of(home).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        call_command("submit", "sample-sft", stdout=io.StringIO(), stderr=err)
    assert err.getvalue() == ""
    MachineSample.objects.create(
        machine=local_machine(), at=timezone.now(), data={"cpu_percent": 1}
    )
    factories.make_ssh_machine(name="box", workdir="/far", python="/p")
    call_command("submit", "sample-sft", "--set", "machine=box", stdout=io.StringIO(), stderr=err)
    assert err.getvalue() == ""


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1), ("lost", 1)])
def test_submit_and_wait(
    samples: Path, staff: User, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    def sleep(seconds: float) -> None:
        Job.objects.update(status=status, reason="That is why.")

    monkeypatch.setattr("jobs.launch.management.submitting.time.sleep", sleep)
    out, err = io.StringIO(), io.StringIO()
    ended = 0
    try:
        call_command("submit", "sample-sft", "--wait", "--json", stdout=out, stderr=err)
    except SystemExit as ending:
        ended = int(ending.code or 0)
    assert ended == code
    assert json.loads(out.getvalue())["status"] == status
    assert ("That is why." in err.getvalue()) is bool(code)


def test_waiting_outlasts_a_crash_after_which_the_job_goes_on(
    samples: Path, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = timezone.now()
    later: Iterator[dict[str, Any]] = iter(
        [
            {"status": "failed", "retry_at": soon},
            {"status": "running", "retry_at": None, "attempt": 2},
            {"status": "completed"},
        ]
    )

    def sleep(seconds: float) -> None:
        Job.objects.update(**next(later))

    monkeypatch.setattr("jobs.launch.management.submitting.time.sleep", sleep)
    out = io.StringIO()
    call_command("submit", "sample-sft", "--wait", "--json", stdout=out, stderr=io.StringIO())
    assert json.loads(out.getvalue())["status"] == "completed"


def test_a_followed_log_goes_on_with_the_next_attempt(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = factories.make_job(user, status="failed", retry_at=timezone.now())
    write_run_file(job, "train.log", "a long first attempt\n")

    def sleep(seconds: float) -> None:
        Job.objects.update(status="completed", retry_at=None, attempt=2)
        job.refresh_from_db()
        write_run_file(job, "train.log", "second\n")

    monkeypatch.setattr("monitoring.page.management.commands.logs.time.sleep", sleep)
    assert text("logs", str(job.pk), "-f") == "a long first attempt\nsecond\n"


def test_jobs(user: User) -> None:
    assert data("jobs") == []
    first = factories.make_job(user, status="failed")
    second = factories.make_job(user, kind="grpo")
    assert [job["id"] for job in data("jobs")] == [second.pk, first.pk]
    assert [job["id"] for job in data("jobs", "--status", "failed")] == [first.pk]
    assert [job["id"] for job in data("jobs", "--kind", "grpo")] == [second.pk]
    assert [job["id"] for job in data("jobs", "--limit", "1")] == [second.pk]
    assert len(text("jobs").splitlines()) == 2


@pytest.mark.parametrize("limit", ["-1", "x"])
def test_a_limit_that_is_none(db: None, limit: str) -> None:
    with pytest.raises(CommandError):
        text("jobs", "--limit", limit)


def test_job(user: User) -> None:
    job = factories.make_job(user, name="größe 🚂", status="failed", exit_code=1, reason="x")
    found = data("job", str(job.pk))
    assert found.keys() >= KEYS
    assert (found["name"], found["exit_code"], found["steps"]) == ("größe 🚂", 1, 3)
    assert found["started_at"] is None
    assert found["run_dir"] == job.run_dir
    assert "größe 🚂" in text("job", str(job.pk))


@pytest.mark.parametrize("command", ["job", "logs", "stop"])
def test_no_such_job(staff: User, command: str) -> None:
    assert refusal(command, "999") == "There is no job 999. manage.py jobs lists them."


def test_logs(user: User) -> None:
    job = factories.make_job(user, status="completed")
    write_run_file(job, "train.log", "one\r50%\ntwo 🚂\n")
    assert text("logs", str(job.pk)) == "one\r50%\ntwo 🚂\n"
    assert data("logs", str(job.pk)) == {"start": 0, "end": 17, "text": "one\r50%\ntwo 🚂\n"}


def test_a_long_log_is_printed_whole(user: User) -> None:
    job = factories.make_job(user, status="completed")
    content = "".join(f"line {n} 🚂\n" for n in range(60_000))
    write_run_file(job, "train.log", content)
    assert text("logs", str(job.pk)) == content


def test_no_log(user: User) -> None:
    assert text("logs", str(factories.make_job(user).pk)) == ""


def test_stop(user: User, staff: User) -> None:
    job = factories.make_job(user, status="queued")
    assert data("stop", str(job.pk))["status"] == "stopped"
    assert job.events.get().who == "root"
    assert refusal("stop", str(job.pk)) == f"Job {job.pk} is stopped."


def test_stop_asked_before(user: User, staff: User) -> None:
    job = factories.make_job(user, status="running")
    assert data("stop", str(job.pk))["status"] == "running"
    assert refusal("stop", str(job.pk)) == f"Job {job.pk} was asked to stop before."
