"""Deleting asks the rows: what a job reads, or could go on from, stays."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from compute.runners.base import RunnerError, Unreachable
from compute.runners.local.runner import LocalRunner
from jobs.artifacts import deleting, together
from jobs.artifacts.deleting import DeleteError, NeedsSecondWord
from jobs.artifacts.keeping import keep_place
from jobs.artifacts.refusals import warnings, why_not
from jobs.artifacts.story import known_of
from jobs.checkpoints import list_checkpoints
from jobs.models import Artifact, Job, Place, Removal, Status
from platform_site.work import doing, models, verbs
from platform_site.work.models import State
from tests import factories, taskqueue

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]
FIELDS: dict[str, Any] = {"started_at": timezone.now()}


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status=Status.COMPLETED, **FIELDS)
    for step in (10, 20):
        factories.write_run_file(job, f"checkpoints/global_step_{step}/model.pt", b"x" * step)
    factories.write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", "20")
    list_checkpoints(job)
    return job


def place(job: Job, step: int) -> Place:
    rows = Place.objects.select_related("machine", "artifact__job")
    return rows.get(artifact__job=job, artifact__step=step)


def become(job: Job, **fields: Any) -> None:
    Job.objects.filter(pk=job.pk).update(**fields)


def folder(job: Job, step: int) -> Path:
    return Path(job.run_dir, f"checkpoints/global_step_{step}")


def test_it_goes_and_frees_its_bytes(job: Job) -> None:
    removal = deleting.delete_now(place(job, 20), who="ada")
    assert (removal.freed, removal.error) == (20, "")
    assert not folder(job, 20).exists()
    assert [saved.step for saved in known_of(job)] == [10]
    assert place(job, 20).gone_by == "ada"
    assert [(e.kind, e.who) for e in job.events.all()] == [
        ("artifact deletion asked", "ada"),
        ("artifact deleted", "ada"),
    ]
    list_checkpoints(job)
    assert place(job, 20).gone_by == "ada"
    with pytest.raises(DeleteError, match="is not there any more"):
        deleting.delete(place(job, 20), who="ada")


def test_what_a_page_asks_for_is_done_by_a_process_of_its_own(
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(
        "platform_site.work.process.subprocess.Popen", lambda argv, **_: started.append(argv)
    )
    with django_capture_on_commit_callbacks(execute=True):
        removal = deleting.delete(place(job, 20), who="ada")
    assert folder(job, 20).exists()
    assert [saved.step for saved in known_of(job)] == [10]  # no job is given it from now on
    with pytest.raises(DeleteError, match="is being deleted already: ada asked"):
        deleting.delete(place(job, 20), who="bob")
    taskqueue.work()
    call_command(*started[0][2:])
    assert not folder(job, 20).exists()
    removal.refresh_from_db()
    assert (removal.state, removal.freed) == (State.DONE, 20)
    assert not deleting.work_off(removal)


def test_many_are_deleted_by_one_process(
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(
        "platform_site.work.process.subprocess.Popen", lambda argv, **_: started.append(argv)
    )
    places = [place(job, step).pk for step in (10, 20)]
    with django_capture_on_commit_callbacks(execute=True):
        asked = together.delete_all(places, who="ada")
    assert (len(asked.removals), asked.refused) == (2, [])
    assert known_of(job) == []
    taskqueue.work()
    assert len(started) == 1
    call_command(*started[0][2:])
    assert not folder(job, 10).exists()
    assert not folder(job, 20).exists()
    assert set(Removal.objects.values_list("freed", flat=True)) == {10, 20}
    assert [event.kind for event in job.events.all()] == [
        *["artifact deletion asked"] * 2,
        *["artifact deleted"] * 2,
    ]


def test_of_many_those_that_must_stay_do(job: Job, user: User) -> None:
    become(job, status=Status.PAUSED)
    reader = factories.make_job(user, status=Status.QUEUED)
    reader.inputs.create(artifact=place(job, 10).artifact, role="model")
    places = [place(job, step).pk for step in (10, 20)]
    asked = together.delete_all(places, who="ada")
    assert {found.artifact.step: reason for found, reason in asked.refused} == {
        10: f"Job {reader.pk} reads it, which is queued.",
        20: f"It is the one that job {job.pk}, which is paused, would go on from.",
    }
    asked = together.delete_all(places, who="ada", sure=True)
    assert [removal.place.artifact.step for removal in asked.removals] == [20]
    assert place(job, 10).gone_at is None
    assert place(job, 20).gone_by == "ada"


def test_a_process_that_died_is_asked_for_again(job: Job) -> None:
    died = deleting.delete(place(job, 20), who="ada")
    assert verbs.claim(died)
    long_ago = timezone.now() - models.SILENT_AFTER[State.WORKING] - timedelta(seconds=1)
    Removal.objects.update(beat_at=long_ago)
    again = deleting.delete(place(job, 20), who="bob")
    assert (again.pk, again.who, place(job, 20).gone_by) == (died.pk, "bob", "bob")
    assert deleting.work_off(again)
    assert not folder(job, 20).exists()
    assert Removal.objects.get().is_done


def test_who_deletes_it_at_once_is_told_that_a_late_process_took_it(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(removal: Removal) -> bool:
        assert verbs.claim(Removal.objects.get(pk=removal.pk))
        return work_off(removal)

    work_off = deleting.work_off
    monkeypatch.setattr(deleting, "work_off", taken)
    with pytest.raises(DeleteError, match="is being deleted already: ada asked"):
        deleting.delete_now(place(job, 20), who="ada")
    assert folder(job, 20).exists()


def fails(problem: Exception) -> Callable[[LocalRunner, str], int]:
    def remove(self: LocalRunner, folder: str) -> int:
        raise problem

    return remove


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (RunnerError("The disk is read-only."), "The disk is read-only."),
        (KeyError("oh"), doing.UNEXPECTED),
    ],
)
def test_a_failure_is_told_and_leaves_it_there(
    job: Job, monkeypatch: pytest.MonkeyPatch, problem: Exception, told: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LocalRunner, "remove", fails(problem))
        with pytest.raises(DeleteError, match=told):
            deleting.delete_now(place(job, 20), who="ada")
    assert (place(job, 20).gone_at, place(job, 20).gone_by) == (None, "")
    failed = Removal.objects.get()
    assert (failed.state, failed.error) == (State.FAILED, told)
    last = job.events.last()
    assert last is not None
    assert (last.kind, last.who, last.message) == ("artifact not deleted", "ada", told)
    assert deleting.delete_now(place(job, 20), who="ada").freed == 20
    assert Removal.objects.count() == 2


def test_a_machine_that_does_not_answer_is_marked(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalRunner, "remove", fails(Unreachable("No answer.")))
    with pytest.raises(DeleteError, match="No answer"):
        deleting.delete_now(place(job, 20), who="ada")
    assert place(job, 20).machine.unreachable_since is not None


def test_what_was_gone_already_is_said_so(job: Job) -> None:
    folder(job, 20).rename(folder(job, 20).with_name("moved"))
    assert deleting.delete_now(place(job, 20), who="ada").freed == 0
    assert place(job, 20).gone_by == ""
    last = job.events.last()
    assert last is not None
    assert last.message.endswith("It was not there any more.")


def test_a_pinned_one_stays(job: Job) -> None:
    artifact = place(job, 20).artifact
    deleting.pin(artifact, who="ada")
    deleting.pin(artifact, who="bob")
    with pytest.raises(DeleteError, match="is pinned by ada"):
        deleting.delete(place(job, 20), who="bob", sure=True)
    deleting.unpin(artifact)
    assert why_not(place(job, 20)) == ""


def test_only_what_lies_in_trainyards_folders_goes(job: Job) -> None:
    Place.objects.filter(artifact__step=20).update(path="/etc/ssh")
    assert "Trainyard removes no other" in why_not(place(job, 20))


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING])
def test_a_folder_that_is_known_twice_stays_for_both(job: Job, user: User, status: Status) -> None:
    own = place(job, 20)
    twin = Artifact.objects.create(kind="checkpoint", name=own.path, owner=user)
    brought = keep_place(twin, own.machine, own.path)
    reader = factories.make_job(user, status=Status.QUEUED)
    reader.inputs.create(artifact=twin, role="checkpoint")
    for each in (own, brought):
        assert why_not(each) == f"Job {reader.pk} reads it, which is queued."
    become(reader, status=Status.DRAFT)
    assert "a draft, is to read it" in warnings(own)[0]
    become(reader, status=Status.COMPLETED)
    become(job, status=status, resume_from=own.path)
    for each in (place(job, 20), Place.objects.get(pk=brought.pk)):
        assert "from it, and is" in why_not(each)
    both = together.delete_all([own.pk, brought.pk], who="ada", sure=True)
    assert len(both.refused) == 2


def readers(job: Job, user: User) -> Iterator[Job]:
    """Jobs that read step 20, or wait for the newest model."""
    reader = factories.make_job(user)
    reader.inputs.create(artifact=place(job, 20).artifact, role="model")
    yield reader
    heir = factories.make_job(user)
    heir.inputs.create(source=job, role="model")
    yield heir


@pytest.mark.parametrize("which", [0, 1])
def test_what_a_job_reads_or_will_read_stays(job: Job, user: User, which: int) -> None:
    job.artifacts.update(has_model=True)
    reader = list(readers(job, user))[which]
    for status in (Status.QUEUED, Status.STARTING, Status.RUNNING, Status.PAUSED):
        become(reader, status=status)
        assert why_not(place(job, 20)).startswith(f"Job {reader.pk} reads it, which is")
    become(reader, status=Status.FAILED, retry_at=timezone.now())
    assert why_not(place(job, 20)) != ""
    become(reader, status=Status.COMPLETED, retry_at=None)
    assert why_not(place(job, 20)) == ""
    assert why_not(place(job, 10)) == ""


@pytest.mark.parametrize("status", [Status.PAUSED, Status.FAILED, Status.STOPPED, Status.LOST])
def test_what_a_run_could_go_on_from_needs_a_second_word(job: Job, status: Status) -> None:
    become(job, status=status)
    assert warnings(place(job, 10)) == []
    told = f"It is the one that job {job.pk}, which is {status}, would go on from."
    with pytest.raises(NeedsSecondWord, match=told):
        deleting.delete_now(place(job, 20), who="ada")
    assert folder(job, 20).exists()
    assert deleting.delete_now(place(job, 20), who="ada", sure=True).freed == 20
    assert warnings(place(job, 10)) == [told]  # now it is the last


def test_of_a_run_that_goes_on(job: Job) -> None:
    become(job, status=Status.QUEUED, attempt=2)
    assert "will go on from it" in why_not(place(job, 20))
    assert why_not(place(job, 10)) == ""
    become(job, resume_step=10)
    assert why_not(place(job, 20)) == ""
    assert "will go on from it" in why_not(place(job, 10))
    become(job, status=Status.RUNNING, resume_from=str(folder(job, 10)))
    assert "goes on from it" in why_not(place(job, 10))
    assert warnings(place(job, 20)) == [
        f"It is the newest of job {job.pk}, which is running: a crash would need it."
    ]
    become(job, attempt=1)
    job.artifacts.filter(step=20).update(is_whole=False)
    assert "may be writing it" in why_not(place(job, 20))


def test_a_copy_here_is_not_what_the_run_goes_on_from(job: Job, user: User) -> None:
    become(job, status=Status.PAUSED, machine=factories.make_ssh_machine(workdir="/far"))
    assert warnings(place(job, 20)) == []
    assert why_not(place(job, 20)) == ""
