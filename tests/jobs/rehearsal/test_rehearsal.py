"""From a training job to its rehearsal, and from that to the start of the job."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.archive.refusals import why_not
from jobs.kinds.rehearsal import PARTS
from jobs.launch import end
from jobs.launch.submit import enqueue
from jobs.models import Job, Rehearsal, Status
from jobs.queue import claims
from jobs.queue.state import reason_of
from jobs.rehearsal import services, trials
from jobs.rehearsal.services import RehearsalError
from tests import factories
from tests.pages import asks_for_login, queries, refuses_other_methods

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]


@pytest.fixture
def job(user: User, home: Path) -> Job:
    """A draft whose model is on this machine."""
    return factories.make_draft_with_model(user, home)


def the_rehearsal() -> Job:
    return Job.objects.get(kind="rehearsal")


def ended(run: Job, state: str, code: int) -> None:
    """The rehearsal's run has told this of its parts, the last of which is in this state."""
    Job.objects.filter(pk=run.pk).update(status=Status.RUNNING)
    run.refresh_from_db()
    told = [{"name": name, "state": "passed", "said": "Good."} for name in PARTS[:-1]]
    told.append({"name": PARTS[-1], "state": state, "said": "It logged <nothing>."})
    run.events.create(
        kind="rehearsed", source="run", attempt=1, at=timezone.now(), data={"parts": told}
    )
    end.finish(run, code)


def test_its_page_has_it_rehearsed(page: Client, job: Job) -> None:
    assert f'action="/jobs/{job.pk}/rehearse/"' in page.get(job.get_absolute_url()).content.decode()
    answer = page.post(f"/jobs/{job.pk}/rehearse/")
    run = the_rehearsal()
    assert answer.headers["Location"] == run.get_absolute_url()
    assert (run.name, run.status, run.gpus) == ("Rehearsal of sums", Status.QUEUED, 0)
    assert run.machine.is_local
    assert run.spec_of_kind.training == job.spec_of_kind
    job.refresh_from_db()
    assert job.status == Status.DRAFT
    shown = page.get(job.get_absolute_url()).content.decode()
    assert f'<a href="{run.get_absolute_url()}">Queued</a>' in shown
    assert "sums</a>" in page.get(run.get_absolute_url()).content.decode()


def test_a_rehearsal_of_the_same_settings_that_is_underway_is_taken(page: Client, job: Job) -> None:
    for _ in range(2):
        page.post(f"/jobs/{job.pk}/rehearse/")
    assert Rehearsal.objects.count() == 1
    job.spec["values"]["lr"] = 0.5
    job.save()
    page.post(f"/jobs/{job.pk}/rehearse/")
    assert Rehearsal.objects.count() == 2


def test_its_line_is_locked_before_it_looks_for_one(
    monkeypatch: pytest.MonkeyPatch, user: User, job: Job
) -> None:
    """Else two who ask at once make two."""
    asked: list[str] = []

    def told(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            asked.append(name)
            return real(*given)

        return call

    monkeypatch.setattr(trials, "_underway", told("looked", trials._underway))
    monkeypatch.setattr(claims, "locked", told("locked", claims.locked))
    services.rehearse(job, user)
    assert asked[:2] == ["locked", "looked"]


def test_a_draft_waits_for_its_rehearsal_and_then_starts(page: Client, job: Job) -> None:
    answer = page.post(f"/jobs/{job.pk}/rehearse/", {"first": "1"})
    assert answer.headers["Location"] == job.get_absolute_url()
    job.refresh_from_db()
    run = the_rehearsal()
    assert job.status == Status.QUEUED
    assert reason_of(job) == f"After its rehearsal, job {run.pk}, which is queued."
    claimed = claims.claim(claims.locked(job.machine_id))
    assert claimed == run
    ended(run, "passed", 0)
    assert run.status == Status.COMPLETED
    assert list(Job.objects.waiting_for(run)) == [job]
    assert claims.claim(claims.locked(job.machine_id)) == job


@pytest.mark.parametrize(("state", "code"), [("failed", 1), ("skipped", 0)])
def test_a_job_whose_rehearsal_did_not_pass_fails_with_its_reason(
    page: Client, job: Job, state: str, code: int
) -> None:
    page.post(f"/jobs/{job.pk}/rehearse/", {"first": "1"})
    run = the_rehearsal()
    ended(run, state, code)
    assert run.status == Status.FAILED
    assert claims.could_start(job.machine)
    assert claims.claim(claims.locked(job.machine_id)) is None
    job.refresh_from_db()
    assert job.status == Status.FAILED
    why = f"It was to start when its rehearsal passed, but job {run.pk} failed: {run.reason}"
    assert job.reason == why


def test_a_rehearsal_that_was_stopped_or_is_gone_lets_nothing_start(user: User, job: Job) -> None:
    run = services.rehearse_first(job, user)
    assert end.stop(run, who="ada")
    assert claims.is_forsaken(Job.objects.get(pk=job.pk))
    run.delete()
    assert claims.is_forsaken(Job.objects.get(pk=job.pk))


def test_what_has_passed_stays_passed_when_its_rehearsal_is_deleted(user: User, job: Job) -> None:
    run = services.rehearse_first(job, user)
    ended(run, "passed", 0)
    assert why_not(run) == []
    run.delete()
    assert Rehearsal.objects.get(job=job).passed_at is not None
    assert not claims.is_forsaken(Job.objects.get(pk=job.pk))
    assert claims.claim(claims.locked(job.machine_id)) == job


def test_what_had_passed_before_is_known_to_have_passed(user: User, job: Job) -> None:
    migration = import_module("jobs.migrations.0019_rehearsal_passed_at")
    run = services.rehearse_first(job, user)
    other = services.rehearse_first(factories.make_job(user, spec=job.spec), user)
    ended(run, "passed", 0)
    Rehearsal.objects.update(passed_at=None)
    migration.fill(apps, None)
    assert run.ended_at is not None
    assert Rehearsal.objects.get(run=run).passed_at == run.ended_at
    assert Rehearsal.objects.get(run=other).passed_at is None


def test_a_job_that_goes_on_is_not_rehearsed_again(user: User, job: Job) -> None:
    """Its first attempt has shown that it runs, whatever became of its rehearsal since."""
    services.rehearse_first(job, user).delete()
    Job.objects.filter(pk=job.pk).update(attempt=2)
    assert claims.claim(claims.locked(job.machine_id)) == job


@pytest.mark.parametrize("state", [Status.QUEUED, Status.PAUSED, Status.FAILED])
def test_a_rehearsal_that_has_yet_to_pass_is_not_deleted(
    user: User, job: Job, state: Status
) -> None:
    run = services.rehearse_first(job, user)
    Job.objects.filter(pk=run.pk).update(status=state)
    run.refresh_from_db()
    assert f"Job {job.pk} (sums) waits for it to pass." in why_not(run)
    assert end.stop(job, who="ada")
    assert not any("waits for it" in reason for reason in why_not(run))


def test_a_rehearsal_that_nobody_waits_for_stops_no_start(user: User, job: Job) -> None:
    ended(services.rehearse(job, user), "failed", 1)
    enqueue(job, who="ada")
    assert claims.claim(claims.locked(job.machine_id)) == job


def test_a_draft_that_is_started_meanwhile_starts_as_it_was_asked(user: User, job: Job) -> None:
    enqueue(job, who="ada")
    with pytest.raises(RehearsalError, match="sums is queued: only a draft can be started"):
        services.rehearse_first(job, user)
    assert not Rehearsal.objects.exists()


def test_the_line_of_many_is_read_in_as_few_queries(page: Client, job: Job, user: User) -> None:
    services.rehearse_first(job, user)
    few = queries(page, reverse("queue:page"))
    for _ in range(2):
        services.rehearse_first(factories.make_job(user, spec=job.spec), user)
    assert queries(page, reverse("queue:page")) == few


def test_the_report_is_on_its_page(page: Client, job: Job, user: User) -> None:
    run = services.rehearse(job, user)
    assert "Waits" in page.get(run.get_absolute_url()).content.decode()
    ended(run, "failed", 1)
    shown = page.get(run.get_absolute_url()).content.decode()
    assert "It logged &lt;nothing&gt;." in shown
    assert "Resume: It logged &lt;nothing&gt;." in shown
    assert "GPU memory: the model is small" in shown
    assert 'href="#checkpoints"' not in shown


@pytest.mark.parametrize("action", ["rehearse"])
def test_the_form_has_a_job_rehearsed_first(
    page: Client, sft_data: dict[str, str], action: str
) -> None:
    for _ in range(2):
        answer = page.post("/jobs/new/sample-sft/", {**sft_data, "action": action})
        assert answer.status_code == 302
    made = Rehearsal.objects.get()
    assert made.must_pass
    assert (made.job.status, made.job.kind) == (Status.QUEUED, "sft")
    assert made.run is not None
    assert made.run.spec_of_kind.training == made.job.spec_of_kind


def test_the_commands(
    samples: Path, staff: User, capsys: pytest.CaptureFixture[str], job: Job
) -> None:
    call_command("submit", "sample-sft", "--rehearse-first", "--json")
    said = json.loads(capsys.readouterr().out)
    assert Rehearsal.objects.get(job=said["id"]).must_pass
    call_command("rehearse", job.pk, "--first", "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["rehearses"]) == ("rehearsal", job.pk)
    assert [part["name"] for part in said["parts"]] == [*PARTS]
    assert said["not_tried"]
    job.refresh_from_db()
    assert job.status == Status.QUEUED
    with pytest.raises(CommandError, match="only a draft can be started"):
        call_command("rehearse", job.pk, "--first")


def test_what_cannot_be_rehearsed(page: Client, user: User, job: Job) -> None:
    export = factories.make_job(user, kind="export", spec={})
    with pytest.raises(RehearsalError, match="kind Export cannot be rehearsed"):
        services.rehearse(export, user)
    shown = page.post(f"/jobs/{export.pk}/rehearse/", follow=True).content.decode()
    assert "kind Export cannot be rehearsed" in shown
    away = factories.make_job(user)
    with pytest.raises(RehearsalError, match="There is no model at /models/tiny on"):
        services.rehearse(away, user)
    job.machine.python = ""
    job.machine.save()
    with pytest.raises(RehearsalError, match="takes no jobs"):
        services.rehearse(job, user)
    assert not Rehearsal.objects.exists()


def test_a_model_that_is_yet_to_be_made_is_like_the_one_before_it(job: Job, user: User) -> None:
    awaited = f"{job.run_dir}/checkpoints/global_step_N/huggingface"
    spec = factories.sft_spec(model_path=awaited)
    later = factories.make_job(user, after=job, spec=spec.to_json())
    later.inputs.create(source=job, role="model")
    made = services.spec_of(later)
    assert made.training.values["model_path"] == job.spec["values"]["model_path"]
    assert made.job == later.pk


def test_a_job_elsewhere_is_rehearsed_here(job: Job, user: User) -> None:
    job.machine = factories.make_ssh_machine()
    job.save()
    run = services.rehearse(job, user)
    assert run.machine.is_local
    assert run.spec_of_kind.is_here is False


def test_who_may(page: Client, other: User) -> None:
    theirs = factories.make_job(other)
    assert page.post(f"/jobs/{theirs.pk}/rehearse/").status_code == 404
    assert asks_for_login(f"/jobs/{theirs.pk}/rehearse/", "post")
    assert refuses_other_methods(page, f"/jobs/{theirs.pk}/rehearse/", "post")


def test_in_the_admin(client: Client, staff: User, job: Job, user: User) -> None:
    client.force_login(staff)
    export = factories.make_job(user, kind="export", spec={})
    chosen: dict[str, Any] = {"action": "rehearse", "_selected_action": [job.pk, export.pk]}
    answer = client.post(reverse("admin:jobs_job_changelist"), chosen, follow=True)
    assert "1 of 2 are rehearsed." in answer.content.decode()
    assert the_rehearsal().owner == user
    assert client.get(reverse("admin:jobs_rehearsal_changelist")).status_code == 200
