"""Lists of checkpoints become artifacts, waiting for one an input, and kinds no fixed choice."""

from datetime import UTC, datetime

import pytest

from jobs.models import Artifact, Job, JobInput, SavedRecipe
from tests.upgrade.former_jobs import HERE, folder

pytestmark = [
    pytest.mark.backends,
    pytest.mark.xdist_group("upgrade"),
    pytest.mark.usefixtures("upgraded", "db"),
]


def job(name: str) -> Job:
    return Job.objects.get(name=name)


def inputs(name: str) -> list[JobInput]:
    return list(JobInput.objects.filter(job__name=name))


def made_by(name: str) -> list[Artifact]:
    return list(Artifact.objects.filter(job__name=name).order_by("step"))


def places(artifact: Artifact) -> list[tuple[str, str]]:
    return [(place.machine.name, place.path) for place in artifact.places.all()]


def test_each_kind_is_kept() -> None:
    assert (job("listed").kind, job("waits").kind) == ("grpo", "sft")
    recipe = SavedRecipe.objects.get()
    assert (recipe.kind, recipe.spec, recipe.owner.username) == (
        "grpo",
        {"values": {"lr": 0.5}},
        "ada",
    )
    assert recipe.base == "grpo-math"  # which its job began with


def test_what_a_list_had_becomes_artifacts() -> None:
    whole, cut_off = made_by("listed")
    assert (whole.kind, whole.name) == (Artifact.Kind.CHECKPOINT, "checkpoints/global_step_3")
    assert (whole.attempt, whole.step, whole.size, whole.has_model) == (1, 3, 7, True)
    assert whole.made_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert whole.owner == job("listed").owner
    assert (whole.is_whole, whole.fault, whole.is_unfinished) == (True, "", False)
    assert places(whole) == [("far", folder(1, 3))]
    assert (cut_off.attempt, cut_off.step, cut_off.has_model) == (2, 6, False)
    assert (cut_off.is_whole, cut_off.is_unfinished) == (False, True)
    assert cut_off.fault == "It is being written, or its writing was cut off."
    assert places(cut_off) == [("far", folder(2, 6))]


def test_only_what_ran_here_is_listed_anew() -> None:
    assert [each.name for each in Job.objects.filter(listing_due=True)] == ["not listed"]


def test_what_was_read_of_the_job_before_is_an_input() -> None:
    [reading] = inputs("has read")
    assert reading.artifact == made_by("listed")[0]
    assert (reading.source, reading.role) == (job("listed"), JobInput.Role.MODEL)


def test_what_nobody_listed_becomes_an_artifact_when_it_was_read() -> None:
    [reading] = inputs("has read what nobody listed")
    [artifact] = made_by("not listed")
    assert (reading.artifact, reading.source) == (artifact, job("not listed"))
    assert (artifact.attempt, artifact.step, artifact.has_model) == (2, 9, True)
    assert artifact.name == "checkpoints/global_step_9"
    assert places(artifact) == [("here", f"{HERE}/attempt-2/checkpoints/global_step_9")]


def test_who_waits_for_the_job_before_awaits_an_input() -> None:
    [awaited] = JobInput.objects.awaited().filter(job__name="waits")
    assert (awaited.source, awaited.role) == (job("listed"), JobInput.Role.MODEL)
    [lost] = inputs("waits for nobody")
    assert (lost.artifact, lost.source) == (None, None)
    assert inputs("only comes after") == []
    assert job("only comes after").after == job("listed")


def test_readers_of_one_version_read_one_artifact() -> None:
    [one], [other] = inputs("reads data"), inputs("reads it too")
    assert (one.artifact, one.role) == (other.artifact, JobInput.Role.DATA)
    artifact = Artifact.objects.get(kind=Artifact.Kind.DATASET)
    assert one.artifact == artifact
    assert (artifact.name, artifact.digest) == ("sums@2", "ab" * 32)
    version = job("reads data").dataset_version
    assert version is not None
    assert (artifact.version, artifact.made_at) == (version, version.created_at)
    assert Artifact.objects.count() == 4
