"""What a job may not read: what is somebody else's, and what is being deleted."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from compute.machines.local import local_machine
from compute.models import Machine
from jobs import resuming
from jobs.archive import deleting as archive
from jobs.artifacts import deleting, readable
from jobs.artifacts.deleting import DeleteError
from jobs.artifacts.readable import going, unreadable
from jobs.launch import end, submit
from jobs.launch.submit import MadeAnother, NotSubmitted
from jobs.models import Artifact, Job, Place, Removal, Status
from jobs.queue import held
from tests import factories
from tests.pages import HTMX

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]
URL = "/jobs/new/sample-sft/"


def saved(owner: User, step: int = 10) -> Path:
    """The model in a checkpoint that a run has saved, and that nobody has listed yet."""
    job = factories.make_job(owner, name="a run", status=Status.COMPLETED)
    return factories.make_model_folder(
        Path(job.run_dir, f"checkpoints/global_step_{step}/huggingface")
    )


def made(owner: User, folder: Path) -> Place:
    """A model that a job has made, as it is listed."""
    factories.make_model_folder(folder)
    job = factories.make_job(owner, status=Status.COMPLETED, started_at=timezone.now())
    artifact = Artifact.objects.create(
        kind=Artifact.Kind.HUGGINGFACE, owner=owner, name="model", job=job, attempt=1,
        made_at=timezone.now(), has_model=True,
    )  # fmt: skip
    return Place.objects.create(
        artifact=artifact, machine=local_machine(), path=str(folder), seen_at=timezone.now()
    )


def is_going(place: Place) -> None:
    """As somebody has just asked for it, and before it is worked off."""
    Place.objects.filter(pk=place.pk).update(gone_at=timezone.now(), gone_by="bob")
    Removal.objects.create(place=place, who="bob")


@pytest.fixture
def here() -> dict[int, Machine]:
    return {local_machine().pk: local_machine()}


def test_whose_a_path_is(user: User, other: User, home: Path, here: dict[int, Machine]) -> None:
    theirs, own = saved(other), saved(user)
    listed = made(other, home / "listed").path
    (home / "link").symlink_to(theirs)
    brought = factories.make_model_folder(home / "brought")
    fetched = f"{home}/fetched/{theirs.parents[3].name}/attempt-1-global_step_10"
    asked = [
        str(theirs),
        str(theirs.parents[3]),
        listed,
        f"{listed}/x",
        str(home / "link"),
        fetched,
    ]
    found = unreadable([*asked, str(own), str(brought), "org/name"], here, user)
    assert found == {path: f"There is no model of yours at {path}." for path in asked}
    staff = factories.make_user("boss", is_staff=True)
    assert unreadable(asked, here, staff) == {}


def test_what_is_being_deleted(user: User, home: Path, here: dict[int, Machine]) -> None:
    place, own = made(user, home / "model"), saved(user)
    assert going([place.path, str(own)], here) == {}
    is_going(place)
    inside = f"{place.path}/x"
    assert going([inside], here) == {inside: f"{inside} is being deleted: bob asked for it."}
    run = Job.objects.get(name="a run")
    assert archive.delete_all([run], who="bob") == (1, [])
    assert going([str(own)], here) == {str(own): f"{own} is being deleted with job {run.pk}."}


def test_a_deletion_whose_process_died_refuses_nothing(
    user: User, home: Path, here: dict[int, Machine]
) -> None:
    place = made(user, home / "fetched/11111111-2222-4333-8444-555555555555/model")
    is_going(place)
    Removal.objects.update(state="working", beat_at=timezone.now() - timedelta(hours=1))
    assert going([place.path], here) == {}
    order = factories.make_order(user, spec=factories.sft_spec(model_path=place.path))
    job = submit.submit(order, start=True)
    with pytest.raises(DeleteError, match=f"Job {job.pk} reads it, which is queued."):
        deleting.delete(place, who="bob", sure=True)
    assert going([place.path], here) == {}
    assert end.stop(job, who="ada")
    deleting.delete(place, who="bob", sure=True)
    assert list(going([place.path], here)) == [place.path]


def test_many_paths_are_asked_for_in_parts(
    user: User, home: Path, here: dict[int, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = made(user, home / "model")
    is_going(place)
    monkeypatch.setattr(readable, "AT_ONCE", 2)
    others = [str(home / f"model-{number}") for number in range(5)]
    assert list(going([*others, place.path], here)) == [place.path]


@pytest.mark.parametrize("which", ["another's", "deleted"])
def test_the_forms_of_training_refuse_it(
    page: Client, user: User, other: User, home: Path, sft_data: dict[str, str], which: str
) -> None:
    if which == "another's":
        path, said = str(saved(other)), "There is no model of yours at"
    else:
        place = made(user, home / "going")
        is_going(place)
        path, said = place.path, "is being deleted: bob asked for it."
    asked = {**sft_data, "model_path": path}
    for action in ("start", "draft", "rehearse"):
        response = page.post(URL, {**asked, "action": action}, headers=HTMX)
        assert response.status_code == 422, action
        assert said in str(response.context["form"].errors["model_path"])
    draft = factories.make_job(user, name="a draft")
    edited = {**asked, "revision": "1", "action": "start"}
    response = page.post(f"/jobs/{draft.pk}/edit/", edited, headers=HTMX)
    assert response.status_code == 422
    assert said in str(response.context["form"].errors["model_path"])
    words = ["--set", f"model_path={path}", "--user", user.username]
    for command in (["submit", "sample-sft"], ["clone", str(draft.pk)], ["edit", str(draft.pk)]):
        with pytest.raises(CommandError, match=said):
            call_command(*command, *words)
    assert not Job.objects.exclude(pk=draft.pk).filter(status=Status.QUEUED).exists()


def test_a_draft_whose_model_goes_is_not_started(page: Client, user: User, home: Path) -> None:
    place = made(user, home / "model")
    spec = factories.sft_spec(model_path=place.path).to_json()
    draft = factories.make_job(user, name="a draft", spec=spec)
    is_going(place)
    response = page.post(f"/jobs/{draft.pk}/start/", follow=True)
    assert "is being deleted: bob asked for it." in response.content.decode()
    draft.refresh_from_db()
    assert draft.status == Status.DRAFT


@pytest.mark.parametrize("status", [Status.PAUSED, Status.STOPPED, Status.FAILED, Status.LOST])
def test_a_job_whose_model_goes_is_not_resumed(
    page: Client, user: User, staff: User, home: Path, status: Status
) -> None:
    place = made(user, home / "model")
    spec = factories.sft_spec(model_path=place.path).to_json()
    job = factories.make_job(user, spec=spec, status=status, started_at=timezone.now())
    is_going(place)
    response = page.post(f"/jobs/{job.pk}/resume/", {"step": ""}, follow=True)
    said = "is being deleted: bob asked for it."
    assert said in response.content.decode()
    with pytest.raises(CommandError, match=said):
        call_command("resume", str(job.pk), "--user", staff.username)
    job.refresh_from_db()
    assert (job.status, job.attempt) == (status, 1)


def test_a_retry_whose_model_goes_is_cancelled(user: User, home: Path) -> None:
    place = made(user, home / "model")
    spec = factories.sft_spec(model_path=place.path).to_json()
    now = timezone.now()
    job = factories.make_job(
        user, spec=spec, status=Status.FAILED, retries=1, retry_at=now, started_at=now
    )
    is_going(place)
    resuming.retry_due()
    job.refresh_from_db()
    assert (job.status, job.retry_at, job.retried) == (Status.FAILED, None, 0)
    event = job.events.get()
    assert event.kind == "retry cancelled"
    assert "is being deleted: bob asked for it." in event.message


def test_what_goes_after_the_form_was_checked_is_not_queued(user: User, home: Path) -> None:
    place = made(user, home / "model")
    order = factories.make_order(user, spec=factories.sft_spec(model_path=place.path))
    is_going(place)
    with pytest.raises(NotSubmitted, match="is being deleted: bob asked for it"):
        submit.submit(order, start=True)
    assert not Job.objects.filter(uuid=order.uuid).exists()


def test_a_form_that_is_changed_after_its_start_is_told(
    page: Client, sft_data: dict[str, str]
) -> None:
    for _ in range(2):  # the same twice is one job
        assert page.post(URL, {**sft_data, "action": "start"}).status_code == 302
    job = Job.objects.get()
    for action in ("start", "draft"):
        changed = {**sft_data, "lr": "0.002", "action": action}
        response = page.post(URL, changed)
        assert response.status_code == 422
        assert f"this form has started {job.name} (job {job.pk}) already" in (
            response.content.decode()
        )
    uuid = response.context["form"]["uuid"].value()
    assert page.post(URL, {**changed, "uuid": uuid}).status_code == 302
    assert Job.objects.count() == 2


def test_an_order_of_a_number_that_made_another_job(user: User) -> None:
    order = factories.make_order(user)
    first = submit.submit(order, start=True)
    assert submit.submit(order, start=True) == first
    submit.rename(first, "renamed", who="ada")
    submit.rename(first, "renamed again", who="ada")
    assert submit.submit(order, start=True) == first
    before = factories.make_job(user, status=Status.RUNNING)
    for changed in (
        {"name": "another"}, {"name": "renamed again"}, {"retries": 2}, {"max_seconds": 60},
        {"after": before}, {"after": before, "after_checkpoint": True},
        {"dataset_version": factories.make_version()},
    ):  # fmt: skip
        other = replace(order, **changed)
        with pytest.raises(MadeAnother, match="Send it once more for a further job"):
            submit.submit(other, start=True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("joins", ["a new job", "one that goes on"])
def test_a_model_that_is_to_be_sent_elsewhere_is_not_deleted_meanwhile(
    user: User, home: Path, monkeypatch: pytest.MonkeyPatch, joins: str
) -> None:
    """Whoever deletes here waits for the job that joins a line elsewhere, and finds it."""
    place = made(user, home / "fetched/11111111-2222-4333-8444-555555555555/model")
    far = factories.make_ssh_machine()
    order = factories.make_order(user, machine=far, spec=factories.sft_spec(model_path=place.path))
    if joins == "one that goes on":
        job = submit.submit(order, start=False)
        Job.objects.filter(pk=job.pk).update(status=Status.STOPPED, started_at=timezone.now())
    looked, told = threading.Event(), list[str]()
    being_deleted = held.being_deleted

    def looks(*asked: object) -> str:
        found = being_deleted(*asked)  # type: ignore[arg-type]
        looked.set()
        deletes.join(0.3)  # it cannot end before this transaction does
        assert deletes.is_alive()
        return found

    def delete() -> None:
        looked.wait(5)
        try:
            deleting.delete_now(place, who="bob", sure=True)
        except DeleteError as error:
            told.append(str(error))
        finally:
            connection.close()

    monkeypatch.setattr(held, "being_deleted", looks)
    deletes = threading.Thread(target=delete)
    deletes.start()
    if joins == "a new job":
        job = submit.submit(order, start=True)
    else:
        job.refresh_from_db()
        assert resuming.resume(job, who="ada")
    deletes.join(10)
    assert [f"Job {job.pk} reads it, which is queued." in each for each in told] == [True]
    assert Path(place.path).is_dir()
