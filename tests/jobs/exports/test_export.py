"""From a checkpoint on a run's page to the job that exports it."""

import json
import subprocess
import sys
import uuid as uuids
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from compute.models import Machine
from compute.runners.base import RunnerError
from compute.runners.ssh import folders
from jobs.artifacts.inputs import keep_inputs
from jobs.checkpoints import list_checkpoints
from jobs.exports import services
from jobs.exports.services import ExportError
from jobs.files import parents
from jobs.files.model_folders import pieces_of
from jobs.kinds.export import ExportSpec
from jobs.launch import end
from jobs.launch.command import command_of
from jobs.models import Artifact, Job, Status
from tests import factories
from tests.fakes import NODE
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue")]
DIGEST = """
import sys, pathlib
from trainyard_node.export.digest import digest_of
print(digest_of(pathlib.Path(sys.argv[1])))
"""
FILES = ("model_world_size_1_rank_0.pt", "optim_world_size_1_rank_0.pt", "fsdp_config.json")


def saved(job: Job, step: int, *, last: int | None = None) -> Path:
    """A checkpoint as far as a listing can tell."""
    folder = Path(job.run_dir) / f"checkpoints/global_step_{step}"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(b"x")
    (folder.parent / "latest_checkpointed_iteration.txt").write_text(str(last or step))
    return folder


@pytest.fixture
def job(user: User) -> Job:
    """A run with checkpoints of the steps 2 and 4; that of 6 was cut off."""
    job = factories.make_job(user, name="sums", status=Status.COMPLETED)
    for step in (2, 4):
        saved(job, step)
    saved(job, 6, last=4)
    list_checkpoints(job)
    return job


def made() -> Job:
    return Job.objects.get(kind="export")


def form(job: Job, **fields: object) -> dict[str, object]:
    return {"uuid": uuids.uuid4(), "step": 4, "name": "merged", **fields}


def test_the_page_of_a_run_offers_whole_checkpoints(page: Client, job: Job) -> None:
    shown = page.get(job.get_absolute_url()).content.decode()
    assert f'href="/jobs/{job.pk}/export/?step=4"' in shown
    assert f'href="/jobs/{job.pk}/export/?step=6"' not in shown


def test_the_form_has_the_checkpoint_chosen(page: Client, job: Job) -> None:
    response = page.get(f"/jobs/{job.pk}/export/?step=2")
    text = response.content.decode()
    assert '<option value="2" selected>Step 2</option>' in text
    assert 'value="sums, step 2 exported"' in text
    assert "Step 6" not in text
    assert page.get(f"/jobs/{job.pk}/export/?step=nonsense").status_code == 200


def test_it_becomes_a_job_in_the_queue_of_the_same_machine(page: Client, job: Job) -> None:
    response = page.post(f"/jobs/{job.pk}/export/", form(job, keep_adapter="on"))
    export = made()
    assert response.headers["Location"] == export.get_absolute_url()
    assert (export.name, export.status, export.gpus) == ("merged", Status.QUEUED, 0)
    assert (export.machine, export.steps, export.recipe) == (job.machine, None, "")
    folder = f"{job.run_dir}/checkpoints/global_step_4"
    assert export.spec_of_kind == ExportSpec(job.pk, 4, folder, keep_adapter=True)


def test_a_form_with_the_number_of_somebody_else_s_job_keeps_what_was_filled_in(
    page: Client, other: User, job: Job
) -> None:
    theirs = factories.make_job(other)
    response = page.post(f"/jobs/{job.pk}/export/", form(job, uuid=theirs.uuid, step=2))
    assert response.status_code == 422
    assert "Send it once more." in response.content.decode()
    filled = response.context["form"]
    again = {name: filled[name].value() for name in ("uuid", "step", "name")}
    assert page.post(f"/jobs/{job.pk}/export/", again).status_code == 302
    assert (made().name, made().spec_of_kind.step) == ("merged", 2)


def test_the_same_form_twice_is_one_job(page: Client, job: Job) -> None:
    data = form(job)
    for _ in range(2):
        assert page.post(f"/jobs/{job.pk}/export/", data).status_code == 302
    assert Job.objects.filter(kind="export").count() == 1


@pytest.mark.parametrize("wrong", [{"step": 6}, {"step": ""}, {"name": ""}, {"name": "a\nb"}])
def test_a_form_that_is_wrong(page: Client, job: Job, wrong: dict[str, object]) -> None:
    for headers in ({}, HTMX):
        response = page.post(f"/jobs/{job.pk}/export/", form(job, **wrong), headers=headers)
        assert response.status_code == 422
    assert not Job.objects.filter(kind="export").exists()


def test_a_run_without_a_whole_checkpoint(page: Client, user: User) -> None:
    job = factories.make_job(user)
    assert "no whole checkpoint" in page.get(f"/jobs/{job.pk}/export/").content.decode()
    assert page.post(f"/jobs/{job.pk}/export/", form(job)).status_code == 422


def test_what_makes_no_checkpoints_has_none_to_export(user: User, job: Job) -> None:
    export = services.export(job, services.find(job, None), user)
    saved(export, 3)
    assert services.exportable(export) == []


def test_a_machine_that_takes_no_jobs(page: Client, job: Job) -> None:
    job.machine.python = ""
    job.machine.save()
    response = page.post(f"/jobs/{job.pk}/export/", form(job))
    assert response.status_code == 422
    assert "takes no jobs any more" in response.content.decode()


def test_who_may(page: Client, job: Job, other: User) -> None:
    theirs = factories.make_job(other)
    assert page.get(f"/jobs/{theirs.pk}/export/").status_code == 404
    assert page.post(f"/jobs/{theirs.pk}/export/", form(theirs)).status_code == 404
    assert asks_for_login(f"/jobs/{job.pk}/export/")
    assert refuses_other_methods(page, f"/jobs/{job.pk}/export/", "get", "post")


def test_queries(page: Client, job: Job) -> None:
    few = queries(page, f"/jobs/{job.pk}/export/")
    for step in (1, 3):
        saved(job, step, last=4)
    assert queries(page, f"/jobs/{job.pk}/export/") == few


def test_its_own_page_shows_what_it_has(page: Client, job: Job, user: User) -> None:
    export = services.export(job, services.find(job, 4), user)
    shown = page.get(export.get_absolute_url()).content.decode()
    assert "trainyard_node.export" in shown
    assert 'href="#checkpoints"' not in shown
    assert "Clone" not in shown
    assert page.get(f"/jobs/{export.pk}/clone/").status_code == 404
    assert page.post(f"/jobs/{export.pk}/recipe/", {"title": "x"}).status_code == 404
    assert "Export (1)" in page.get("/jobs/").content.decode()


def test_the_command(job: Job, staff: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("export", job.pk, "--step", "2", "--name", "merged", "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["name"], said["status"]) == ("export", "merged", "queued")
    assert made().spec_of_kind.step == 2
    assert made().owner == staff


def test_the_command_takes_the_newest_whole_one(job: Job, staff: User) -> None:
    call_command("export", job.pk, "--keep-adapter")
    assert made().spec_of_kind.step == 4
    assert made().spec_of_kind.keep_adapter is True
    assert made().name == "sums, step 4 exported"


def test_the_command_says_what_is_wrong(job: Job, staff: User, user: User) -> None:
    with pytest.raises(CommandError, match=r"no whole checkpoint of step 6\. There are: 4, 2"):
        call_command("export", job.pk, "--step", "6")
    with pytest.raises(CommandError, match="one line"):
        call_command("export", job.pk, "--name", "a\nb")
    with pytest.raises(ExportError, match="has no whole checkpoint"):
        services.find(factories.make_job(user), None)


def far(machine: Machine, user: User) -> Job:
    """A run on another machine, with one checkpoint as the watcher has listed it."""
    job = factories.make_job(user, machine=machine, status=Status.COMPLETED)
    factories.keep_checkpoints(job, {8: 10})
    return job


@pytest.mark.parametrize("kind", [Machine.Kind.SSH, Machine.Kind.RAY])
def test_elsewhere_it_runs_where_the_checkpoint_is(kind: Machine.Kind, user: User) -> None:
    python, work = "/opt/train/bin/python", "/home/ada/trainyard"
    nodes = {"nodes": [{"name": "one", "cpus": 8, "gpus": 4}]}
    given = {"python": python, "workdir": work, "facts": nodes}
    if kind == Machine.Kind.SSH:
        machine = factories.make_ssh_machine(**given)
    else:
        machine = factories.make_machine(kind=kind, **given)
    job = far(machine, user)
    export = services.export(job, services.find(job, 8), user)
    assert (export.machine, export.gpus, export.status) == (machine, 0, Status.QUEUED)
    argv = command_of(export).argv
    assert argv[:3] == (python, "-m", "trainyard_node.export")
    assert argv[3] == f"{work}/runs/{job.uuid}/attempt-1/checkpoints/global_step_8"
    assert argv[4] == f"{work}/runs/{export.uuid}/attempt-1/model"
    assert export.job_kind.devices_at_start(export.spec_of_kind) == 0


def test_the_folder_that_it_made_is_listed_with_the_size_and_digest_that_it_told(
    job: Job, user: User
) -> None:
    export = services.export(job, services.find(job, 4), user)
    Job.objects.filter(pk=export.pk).update(status=Status.RUNNING, attempt=1)
    export.refresh_from_db()
    facts = {"bytes": 2_066_679, "digest": "a0" * 32}
    export.events.create(
        kind="exported", source="run", attempt=1, at=timezone.now(), data=facts, message="done"
    )
    end.finish(export, 0)
    made = Artifact.objects.get(job=export)
    assert (made.name, made.size, made.digest) == ("model", 2_066_679, "a0" * 32)
    assert made.places.get().path == f"{export.run_dir}/model"


def test_both_sides_compute_the_same_digest(home: Path) -> None:
    folder = home / "model"
    (folder / "lora_adapter").mkdir(parents=True)
    for name in ("model.safetensors", "lora_adapter/adapter.safetensors", "größe.json"):
        (folder / name).write_bytes(name.encode() * 9)
    told = subprocess.check_output(
        [sys.executable, "-c", DIGEST, str(folder)], env={"PYTHONPATH": str(NODE)}, text=True
    )
    assert told.strip() == folders.digest_of(pieces_of(folder, lambda done, total: None))


def test_a_job_can_train_on_from_what_it_makes(job: Job, user: User) -> None:
    export = services.export(job, services.find(job, 4), user)
    Job.objects.filter(pk=export.pk).update(status=Status.COMPLETED)
    export.refresh_from_db()
    assert list(parents.problems(export)) == []
    expected = parents.awaited_model(export)
    assert expected == f"{export.run_dir}/model"
    spec = factories.sft_spec(model_path=expected)
    later = factories.make_job(user, after=export, spec=spec.to_json())
    keep_inputs(later, export)
    with pytest.raises(RunnerError, match="left no whole Hugging Face folder in its model"):
        parents.settle_model(later)
    Path(expected).mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (Path(expected) / name).write_bytes(b"x")
    parents.settle_model(later)
    assert later.spec_of_kind.values["model_path"] == expected
