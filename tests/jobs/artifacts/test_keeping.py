"""Rows of checkpoints: listed, gone, deleted, written anew, examined, in two places."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.models import Machine
from jobs.artifacts import keeping
from jobs.artifacts.story import known_of
from jobs.checkpoints import list_checkpoints
from jobs.models import Artifact, Job, Place, Status
from tests import factories

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, status=Status.RUNNING)
    for step in (10, 20, 30):
        factories.write_run_file(job, f"checkpoints/global_step_{step}/model.pt", b"x" * step)
    factories.write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", "20")
    list_checkpoints(job)
    return job


def steps(job: Job) -> list[int]:
    return [saved.step for saved in known_of(job)]


def folder(job: Job, step: int) -> Path:
    return Path(job.run_dir, f"checkpoints/global_step_{step}")


def test_a_listing_makes_rows(job: Job) -> None:
    assert steps(job) == [30, 20, 10]
    cut, whole, _ = Artifact.objects.order_by("-step")
    assert (cut.is_whole, cut.is_unfinished, cut.fault) == (False, True, keeping.UNFINISHED)
    assert (whole.is_whole, whole.size, whole.owner, whole.attempt) == (True, 20, job.owner, 1)
    assert whole.name == "checkpoints/global_step_20"
    assert whole.places.get().path == str(folder(job, 20))


def test_a_second_listing_changes_what_changed(job: Job) -> None:
    before = job.revision
    factories.write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", "30")
    factories.write_run_file(job, "checkpoints/global_step_30/huggingface/a.safetensors", b"12345")
    list_checkpoints(job)
    newest = Artifact.objects.get(step=30)
    assert (newest.is_whole, newest.fault, newest.size, newest.has_model) == (True, "", 35, True)
    assert Artifact.objects.count() == Place.objects.count() == 3
    assert job.revision > before


def test_what_vanished_is_noted_once_somebody_looks(job: Job) -> None:
    shutil.rmtree(folder(job, 10))
    assert steps(job) == [30, 20, 10]
    list_checkpoints(job)
    assert steps(job) == [30, 20]
    place = Place.objects.get(artifact__step=10)
    assert place.gone_at is not None
    assert place.gone_by == ""
    factories.write_run_file(job, "checkpoints/global_step_10/model.pt", b"back")
    list_checkpoints(job)
    assert steps(job) == [30, 20, 10]


def test_what_somebody_had_deleted_does_not_come_back_by_an_old_listing(job: Job) -> None:
    Place.objects.filter(artifact__step=10).update(gone_at=timezone.now(), gone_by="ada")
    list_checkpoints(job)  # its process has not come to it yet
    assert steps(job) == [30, 20]
    Place.objects.filter(artifact__step=10).update(gone_at=timezone.now() - timedelta(days=1))
    list_checkpoints(job)  # a run wrote it anew
    assert steps(job) == [30, 20, 10]


def test_who_looked_into_the_files_knows_more_than_their_names(job: Job) -> None:
    artifact = Artifact.objects.get(step=20)
    keeping.keep_verdict(artifact, ["Its model file is cut short."])
    list_checkpoints(job)
    artifact.refresh_from_db()
    assert (artifact.is_whole, artifact.fault) == (False, "Its model file is cut short.")
    assert not artifact.is_unfinished
    factories.write_run_file(job, "checkpoints/global_step_20/model.pt", b"another")
    list_checkpoints(job)
    artifact.refresh_from_db()
    assert (artifact.is_whole, artifact.examined_at) == (True, None)


def test_what_was_fetched_is_the_same_artifact_in_two_places(job: Job, machine: Machine) -> None:
    other, artifact = factories.make_machine(), Artifact.objects.get(step=20)
    keeping.keep_place(artifact, other, "/elsewhere/global_step_20")
    assert artifact.places.count() == 2
    inside = keeping.artifact_at("/elsewhere/global_step_20/huggingface", {other.pk: other})
    assert inside == artifact
    assert keeping.artifact_at("/elsewhere", {other.pk: other}) is None
    assert keeping.note_gone(other, "/elsewhere/global_step_20") is True
    assert keeping.note_gone(other, "/elsewhere/global_step_20") is False
    assert steps(job) == [30, 20, 10]


def test_a_model_that_a_job_made(job: Job) -> None:
    for _ in range(2):
        made = keeping.keep_made(
            job, Artifact.Kind.HUGGINGFACE, "model", f"{job.run_dir}/model", size=7, has_model=True
        )
    assert (made.size, made.attempt, made.owner) == (7, 1, job.owner)
    assert Artifact.objects.filter(kind="huggingface").get().places.get().machine == job.machine
    assert steps(job) == [30, 20, 10]  # it is no checkpoint to go on from


def test_a_job_that_is_gone_leaves_its_artifacts(job: Job) -> None:
    job.delete()
    assert {artifact.job for artifact in Artifact.objects.all()} == {None}
    assert Place.objects.there().count() == 3
