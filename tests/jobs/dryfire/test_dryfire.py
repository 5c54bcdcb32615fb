"""A training job and its dry-fire: how it is asked for, on pages and by a command."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.dryfire import services
from jobs.dryfire.management.commands import dryfire as command
from jobs.dryfire.proposing import BROKE_OFF, changed_since
from jobs.dryfire.services import DryFireError
from jobs.kinds.dryfire import PARTS
from jobs.models import Job, Rehearsal, Status
from jobs.queue import claims
from jobs.rehearsal.services import rehearse
from jobs.verl.proposing import NONE_FITS, NONE_JUDGED
from tests import factories
from tests.jobs.dryfire.conftest import GIB, Make, dry_fired
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
FAKE_PEAKS = {"update": 20 * GIB, "log_prob": 15 * GIB}


@pytest.fixture
def job(user: User, home: Path) -> Job:
    """A draft on this machine's CPU, whose model is here."""
    return factories.make_draft_with_model(user, home)


def the_dry_fire() -> Job:
    return Job.objects.get(kind__startswith="dryfire")


def test_its_page_has_it_dry_fired(page: Client, job: Job) -> None:
    assert f'action="/jobs/{job.pk}/dryfire/"' in page.get(job.get_absolute_url()).content.decode()
    answer = page.post(f"/jobs/{job.pk}/dryfire/", follow=True)
    run = the_dry_fire()
    assert answer.redirect_chain[-1][0] == run.get_absolute_url()
    assert "How long it takes is not known: It runs on the CPU" in answer.content.decode()
    assert (run.name, run.status) == ("Dry-fire of sums", Status.QUEUED)
    assert run.spec_of_kind.training == job.spec_of_kind
    job.refresh_from_db()
    assert job.status == Status.DRAFT
    shown = page.get(job.get_absolute_url()).content.decode()
    assert f'<a href="{run.get_absolute_url()}">Queued</a>' in shown
    assert "sums</a>" in page.get(run.get_absolute_url()).content.decode()


def test_it_waits_for_the_cards_of_the_job_and_leases_them(job_on_fakes: Make) -> None:
    job = job_on_fakes()
    run = services.dry_fire(job, job.owner)
    assert (run.machine, run.gpus, run.kind) == (job.machine, 8, "dryfire")
    assert services.about(run).startswith("By the estimate its steps and the validation take ")
    assert claims.claim(claims.locked(job.machine_id)) == run
    assert claims.leased_devices(run) == tuple(range(8))


def test_one_that_is_underway_is_taken_and_a_rehearsal_is_another(page: Client, job: Job) -> None:
    rehearse(job, job.owner)
    for _ in range(2):
        page.post(f"/jobs/{job.pk}/dryfire/")
    assert Rehearsal.objects.count() == 2
    shown = page.get(job.get_absolute_url()).content.decode()
    assert "<dt>Rehearsal</dt>" in shown
    assert "<dt>Dry-fire (SFT, DPO)</dt>" in shown


def test_the_report_has_phases_and_a_proposal_that_fills_the_form(
    page: Client, job_on_fakes: Make
) -> None:
    job = job_on_fakes()
    run = dry_fired(job, FAKE_PEAKS)
    assert run.status == Status.COMPLETED
    shown = page.get(run.get_absolute_url()).content.decode()
    assert "20.0 GiB" in shown
    assert "79.0 GiB" in shown
    assert f'href="/jobs/{run.pk}/proposal/"' in shown
    answer = page.get(f"/jobs/{run.pk}/proposal/")
    assert answer.status_code == 200
    form = answer.context["form"]
    assert int(form.initial["micro_batch_size"]) > 4
    assert form.initial["name"] == "sums"
    assert answer.context["draft"] == job
    Job.objects.filter(pk=job.pk).update(status=Status.COMPLETED)
    answer = page.get(f"/jobs/{run.pk}/proposal/")
    assert answer.context["cloned"] == job
    assert answer.context["form"].initial["micro_batch_size"] == form.initial["micro_batch_size"]


def test_what_was_changed_in_the_draft_since_stays_as_it_is(
    page: Client, job_on_fakes: Make
) -> None:
    job = job_on_fakes()
    run = dry_fired(job, FAKE_PEAKS)
    job.spec["values"]["lr"] = 0.5
    job.save()
    assert page.get(f"/jobs/{run.pk}/proposal/").context["form"].initial["lr"] == "0.5"


def test_without_figures_the_report_says_so(page: Client, job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes(), {"update": None})
    shown = page.get(run.get_absolute_url()).content.decode()
    assert "No memory of a GPU was measured, so that nothing is proposed." in shown
    assert "/proposal/" not in shown
    assert page.get(f"/jobs/{run.pk}/proposal/").status_code == 404


def test_memory_that_ran_out_is_the_reason(page: Client, job_on_fakes: Make) -> None:
    run = dry_fired(job_on_fakes(micro_batch_size=8), {"update": 70 * GIB}, failed="update")
    assert run.status == Status.FAILED
    assert run.reason == "Training: Good."
    shown = page.get(run.get_absolute_url()).content.decode()
    assert "Memory ran out" in shown
    assert "Broke off" not in shown


def test_a_phase_that_broke_off_otherwise_says_nothing_of_memory(
    page: Client, job_on_fakes: Make
) -> None:
    run = dry_fired(job_on_fakes(), {"update": 70 * GIB}, failed="update", ran_out=False)
    shown = page.get(run.get_absolute_url()).content.decode()
    assert "Broke off" in shown
    assert "Memory ran out" not in shown
    assert BROKE_OFF in shown
    assert "/proposal/" not in shown


@pytest.mark.parametrize(
    ("peaks", "said"), [({"update": 78 * GIB}, NONE_FITS), ({"save": 20 * GIB}, NONE_JUDGED)]
)
def test_what_does_not_fit_or_was_not_judged_is_not_said_to_fill_the_card(
    staff: User,
    page: Client,
    job_on_fakes: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    peaks: dict[str, int | None],
    said: str,
) -> None:
    run = dry_fired(job_on_fakes(micro_batch_size=1), peaks)
    shown = page.get(run.get_absolute_url()).content.decode()
    assert said in shown
    assert "fill the card well" not in shown
    monkeypatch.setattr(services, "dry_fire", lambda *_: run)
    monkeypatch.setattr(command, "wait", lambda *_: None)
    call_command("dryfire", run.rehearses.job.pk, "--wait")
    assert said in capsys.readouterr().out
    call_command("dryfire", run.rehearses.job.pk, "--json")
    assert json.loads(capsys.readouterr().out)["why"] == said


def test_figures_without_bounds_do_not_break_the_page(page: Client, job_on_fakes: Make) -> None:
    huge = int("9" * 400)
    run = dry_fired(job_on_fakes(), {"update": huge}, limit=huge, longest=huge)
    told = run.events.get(kind="dry_fired")
    told.data["phases"][0]["seconds"] = told.data["parts"][0]["seconds"] = huge
    told.save()
    shown = page.get(run.get_absolute_url())
    assert shown.status_code == 200
    assert "No memory of a GPU was measured" in shown.content.decode()


def test_the_command(
    staff: User, capsys: pytest.CaptureFixture[str], job_on_fakes: Make, job: Job
) -> None:
    call_command("dryfire", job_on_fakes().pk, "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["phases"], said["proposal"]) == ("dryfire", [], None)
    assert [part["name"] for part in said["parts"]] == [*PARTS]
    assert said["not_tried"]
    call_command("dryfire", job.pk)
    assert "How long it takes is not known" in capsys.readouterr().out
    export = factories.make_job(staff, kind="export", spec={})
    with pytest.raises(CommandError, match="kind Export cannot be dry-fired"):
        call_command("dryfire", export.pk)


def test_the_command_prints_the_report_of_one_that_is_over(
    staff: User,
    job_on_fakes: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = dry_fired(job_on_fakes(), FAKE_PEAKS)
    monkeypatch.setattr(services, "dry_fire", lambda *_: run)
    call_command("dryfire", run.rehearses.job.pk, "--wait")
    said = capsys.readouterr().out
    assert "passed   training" in said
    assert "Peaks of a card of 79.0 GiB" in said
    assert "Micro batch" in said
    call_command("dryfire", run.rehearses.job.pk, "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["phases"][0]["card"] == 20 * GIB
    assert told["proposal"]["values"]["micro_batch_size"] > 4


@pytest.mark.parametrize("kind", ["export", "rehearsal", "dryfire"])
def test_it_is_not_offered_where_the_kind_cannot(page: Client, user: User, kind: str) -> None:
    other = factories.make_job(user, kind=kind, spec={})
    assert "dry-fire-form" not in page.get(other.get_absolute_url()).content.decode()
    with pytest.raises(DryFireError, match="cannot be dry-fired"):
        services.dry_fire(other, user)
    assert not Rehearsal.objects.exists()


def test_what_cannot_be_dry_fired_says_why(page: Client, user: User, job: Job) -> None:
    nowhere = factories.make_job(user)
    with pytest.raises(DryFireError, match="There is no model at /models/tiny on"):
        services.dry_fire(nowhere, user)
    shown = page.post(f"/jobs/{nowhere.pk}/dryfire/", follow=True).content.decode()
    assert "There is no model at /models/tiny on" in shown
    job.machine.python = ""
    job.machine.save()
    with pytest.raises(DryFireError, match="takes no jobs, and a dry-fire runs where the job does"):
        services.dry_fire(job, user)
    job.machine.is_retired = True
    job.machine.save()
    with pytest.raises(DryFireError, match="was removed from Trainyard"):
        services.dry_fire(job, user)


def test_a_machine_that_does_not_answer_or_is_too_small(job_on_fakes: Make) -> None:
    job = job_on_fakes()
    job.machine.unreachable_since = timezone.now()
    job.machine.save()
    with pytest.raises(DryFireError, match="is unreachable"):
        services.dry_fire(job, job.owner)
    large = job_on_fakes(gpus=16)
    large.machine.unreachable_since = None
    large.machine.save()
    with pytest.raises(DryFireError, match="8"):
        services.dry_fire(large, large.owner)


def test_a_model_that_is_yet_to_be_made(user: User, job: Job) -> None:
    awaited = f"{job.run_dir}/checkpoints/global_step_N/huggingface"
    spec = factories.sft_spec(model_path=awaited)
    later = factories.make_job(user, after=job, spec=spec.to_json())
    later.inputs.create(source=job, role="model")
    with pytest.raises(
        DryFireError, match=rf"trains on what job {job.pk} \(sums\) has yet to make"
    ):
        services.dry_fire(later, user)


def test_a_draft_that_has_another_machine_or_model_since_is_warned_of(
    page: Client, job_on_fakes: Make
) -> None:
    job = job_on_fakes()
    run = dry_fired(job, FAKE_PEAKS)
    asks_again = "Dry-fire it again."
    assert asks_again not in page.get(f"/jobs/{run.pk}/proposal/").content.decode()
    job.spec["values"]["model_path"] = "/models/other"
    job.save()
    shown = page.get(f"/jobs/{run.pk}/proposal/").content.decode()
    assert "The job has another model since its dry-fire" in shown
    assert asks_again in shown
    job.machine = factories.make_ssh_machine()
    assert changed_since(run, job).startswith("The job has another machine and another model since")


def test_a_proposal_is_its_owners_alone(page: Client, job_on_fakes: Make, other: User) -> None:
    job = job_on_fakes()
    run = dry_fired(job, FAKE_PEAKS)
    address = f"/jobs/{run.pk}/proposal/"
    assert page.get(address).status_code == 200
    Job.objects.filter(pk=job.pk).update(owner=other)  # of the job that was tried
    assert page.get(address).status_code == 404
    Job.objects.filter(pk=job.pk).update(owner=job.owner)
    Job.objects.filter(pk=run.pk).update(owner=other)
    assert page.get(address).status_code == 404
    assert asks_for_login(address, "get")
    assert refuses_other_methods(page, address, "get")


def test_who_may(page: Client, other: User) -> None:
    theirs = factories.make_job(other)
    address = f"/jobs/{theirs.pk}/dryfire/"
    assert page.post(address).status_code == 404
    assert asks_for_login(address, "post")
    assert refuses_other_methods(page, address, "post")


def test_in_the_admin(client: Client, staff: User, job: Job, user: User) -> None:
    client.force_login(staff)
    export = factories.make_job(user, kind="export", spec={})
    chosen: dict[str, Any] = {"action": "dry_fire", "_selected_action": [job.pk, export.pk]}
    answer = client.post(reverse("admin:jobs_job_changelist"), chosen, follow=True)
    assert "1 of 2 are dry-fired." in answer.content.decode()
    assert the_dry_fire().owner == user
    shown = client.get(reverse("admin:jobs_rehearsal_changelist"))
    assert "Dry-fire" in shown.content.decode()
