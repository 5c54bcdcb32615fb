"""A job that trains on from what the job before it has saved."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from compute.runners import base
from compute.runners.local.runner import LocalRunner
from jobs.launch import end as ends
from jobs.launch import start, submit
from jobs.models import Job, Status
from jobs.queue.state import reason_of
from tests import factories, taskqueue
from tests.pages import command_in

pytestmark = pytest.mark.usefixtures("queue")
URL = "/jobs/new/sample-sft/"
WHOLE = {"config.json": "{}", "model.safetensors": "x", "tokenizer.json": "{}"}


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[base.Launch]:
    """Launches are noted, not done."""
    found: list[base.Launch] = []
    monkeypatch.setattr(LocalRunner, "launch", lambda self, launch: found.append(launch))
    return found


def make_parent(owner: User, **fields: Any) -> Job:
    spec = factories.sft_spec(save_contents="model,hf_model")
    given = {"spec": spec.to_json(), "status": Status.RUNNING, "step": 3}
    return factories.make_job(owner, **given | fields)


@pytest.fixture
def parent(user: User, samples: Path) -> Job:
    return make_parent(user)


def save(job: Job, step: int, **files: str) -> str:
    folder = f"checkpoints/global_step_{step}/huggingface"
    for name, text in (files or WHOLE).items():
        factories.write_run_file(job, f"{folder}/{name}", text)
    factories.write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", f"{step}")
    return f"{job.run_dir}/{folder}"


def asked(data: dict[str, str], parent: Job | None) -> dict[str, str]:
    ticked = {"after": str(parent.pk) if parent else "", "after_checkpoint": "on"}
    return {**data, **ticked, "model_path": "", "action": "start"}


def child(page: Client, data: dict[str, str], parent: Job) -> Job:
    assert page.post(URL, asked(data, parent)).status_code == 302
    return Job.objects.exclude(pk=parent.pk).get()


def test_it_waits_and_then_trains_on_from_the_newest_checkpoint(
    page: Client,
    sft_data: dict[str, str],
    parent: Job,
    launched: list[base.Launch],
    django_capture_on_commit_callbacks: OnCommit,
) -> None:
    job = child(page, sft_data, parent)
    assert reason_of(job) == f"After checkpoint of job {parent.pk}, which is running."
    save(parent, 2)
    newest = save(parent, 3)
    start.launch_queued(job.machine_id)
    assert launched == []
    with django_capture_on_commit_callbacks(execute=True):
        ends.finish(parent, 0)
    taskqueue.work()
    [launch] = launched
    assert f"model.path={newest}" in launch.argv
    job.refresh_from_db()
    assert (job.status, job.spec["values"]["model_path"]) == ("running", newest)
    assert ("model found", newest) in [(event.kind, event.message) for event in job.events.all()]
    submit.rename(job, "another name", who="ada")
    again = page.post(URL, asked(sft_data, parent))
    assert (again.status_code, again.headers["Location"]) == (302, f"/jobs/{job.pk}/")
    assert Job.objects.count() == 2, "the same form twice is one job"
    for changed in ({"lr": "0.002"}, {"retries": "2"}, {"max_hours": "1"}):
        told = page.post(URL, asked(sft_data, parent) | changed).content.decode()
        assert f"this form has started another name (job {job.pk}) already" in told


def test_the_last_attempt_that_saved_counts(
    page: Client, sft_data: dict[str, str], parent: Job, launched: list[base.Launch]
) -> None:
    job, first = child(page, sft_data, parent), save(parent, 3)
    Job.objects.filter(pk=parent.pk).update(status=Status.COMPLETED, attempt=2)
    start.launch_queued(job.machine_id)
    assert f"model.path={first}" in launched[0].argv


@pytest.mark.parametrize("end", ["failed", "stopped", "lost"])
def test_it_is_not_started_when_the_job_before_did_not_complete(
    page: Client,
    sft_data: dict[str, str],
    parent: Job,
    launched: list[base.Launch],
    end: str,
    django_capture_on_commit_callbacks: OnCommit,
) -> None:
    job = child(page, sft_data, parent)
    save(parent, 3)
    with django_capture_on_commit_callbacks(execute=True):
        ends.finish_as(parent, Status(end), "So it was.")
    taskqueue.work()
    job.refresh_from_db()
    assert (job.status, launched) == ("failed", [])
    words = {"failed": "failed", "stopped": "was stopped", "lost": "was lost"}
    assert job.reason == (
        f"It was to train on from a checkpoint, but job {parent.pk} {words[end]}."
    )
    assert job.ended_at is not None


def test_it_is_not_started_when_the_job_before_is_gone(
    page: Client, sft_data: dict[str, str], parent: Job, launched: list[base.Launch]
) -> None:
    job = child(page, sft_data, parent)
    parent.delete()
    start.launch_queued(job.machine_id)
    job.refresh_from_db()
    assert (job.status, launched) == ("failed", [])
    assert job.reason == "It was to train on from a checkpoint, but that job is gone."


def test_a_checkpoint_without_weights_starts_nothing(
    page: Client, sft_data: dict[str, str], parent: Job, launched: list[base.Launch]
) -> None:
    job = child(page, sft_data, parent)
    save(parent, 3, **{"config.json": "{}"})
    ends.finish(parent, 0)
    start.launch_queued(job.machine_id)
    job.refresh_from_db()
    assert (job.status, launched) == ("failed", [])
    assert job.reason == (
        f"It could not be started. Job {parent.pk} left no whole Hugging Face folder in its "
        "checkpoints."
    )


def test_the_preview_says_what_is_known_later(
    page: Client, sft_data: dict[str, str], parent: Job
) -> None:
    response = page.post(f"{URL}preview/", asked(sft_data, parent))
    awaited = f"model.path={parent.run_dir}/checkpoints/global_step_N/huggingface"
    assert awaited in command_in(response)
    said = f"N is the last step that job {parent.pk} has saved when it has completed."
    assert said in response.content.decode()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"spec": factories.sft_spec().to_json()}, "have no Hugging Face folder"),
        ({"spec": factories.sft_spec(lora_rank=8).to_json()}, "LoRA adapter"),
        (None, "Choose the job whose checkpoint is to be trained on."),
    ],
)
def test_what_cannot_come_is_refused(
    page: Client,
    user: User,
    samples: Path,
    sft_data: dict[str, str],
    fields: dict[str, Any] | None,
    why: str,
) -> None:
    before = None if fields is None else make_parent(user, **fields)
    count = Job.objects.count()
    response = page.post(URL, asked(sft_data, before))
    assert response.status_code == 422
    assert why in response.content.decode()
    assert Job.objects.count() == count


def test_a_job_that_has_completed_is_taken_at_once(
    page: Client, sft_data: dict[str, str], parent: Job, launched: list[base.Launch]
) -> None:
    newest = save(parent, 3)
    ends.finish(parent, 0)
    job = child(page, sft_data, parent)
    start.launch_queued(job.machine_id)
    assert f"model.path={newest}" in launched[0].argv


def test_a_command_asks_for_it_too(
    staff: User, samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = make_parent(staff)
    sets = ["--set", f"after={before.pk}", "--set", "after_checkpoint=true"]
    call_command("submit", "sample-sft", *sets)
    assert Job.objects.get(after=before).trains_on is True
    with pytest.raises(CommandError, match="after: Choose the job whose checkpoint"):
        call_command("submit", "sample-sft", "--set", "after_checkpoint=true")


def test_no_job_waits_for_itself(page: Client, sft_data: dict[str, str], user: User) -> None:
    draft = {**sft_data, "action": "draft"}
    page.post(URL, draft)
    first = Job.objects.get()
    second = factories.make_job(user, after=first)
    for before in (first, second):
        response = page.post(URL, {**draft, "after": str(before.pk)})
        assert response.status_code == 422
        assert f"Job {before.pk} would wait for this one." in response.content.decode()


def test_without_the_tick_any_end_lets_it_start(
    page: Client, sft_data: dict[str, str], parent: Job, launched: list[base.Launch]
) -> None:
    assert page.post(URL, {**sft_data, "after": str(parent.pk), "action": "start"})
    ends.finish(parent, 1)
    start.launch_queued(parent.machine_id)
    assert len(launched) == 1
