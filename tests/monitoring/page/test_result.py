"""What a job made, on its page, with the ways to go on with it."""

from pathlib import Path

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobs.artifacts.inputs import keep_inputs
from jobs.models import Artifact, Job, Place, Status
from monitoring.page.news import new_state
from tests import factories
from tests.pages import queries
from tests.surgery.models import adapter, artifact_at, model

NOW = timezone.now()


def shown(page: Client, job: Job) -> str:
    content = page.get(job.get_absolute_url()).content.decode()
    return content.partition('<section id="result"')[2].partition("</section>")[0]


def merged(folder: Path) -> Job:
    job = artifact_at(folder).job
    assert job
    Job.objects.filter(pk=job.pk).update(kind="merge", spec={"recipe": "", "read": []})
    return Job.objects.get(pk=job.pk)


def test_a_model_leads_to_training_and_comparison(page: Client, user: User, home: Path) -> None:
    folder = model(user, home / "made")
    job, artifact = merged(folder), artifact_at(folder)
    part = shown(page, job)
    assert artifact.get_absolute_url() in part
    assert reverse("jobs:train_on", args=[artifact.pk]) in part
    assert f"/surgery/compare/?from={artifact.pk}" in part
    assert str(folder) in part


def test_an_adapter_leads_to_its_merge(page: Client, user: User, home: Path) -> None:
    folder = adapter(user, home / "made")
    part = shown(page, merged(folder))
    assert f"/surgery/lora/merge/?from={artifact_at(folder).pk}" in part
    assert "Train on it" not in part


def test_nothing_is_offered_of_a_folder_that_is_gone(page: Client, user: User, home: Path) -> None:
    folder = model(user, home / "made")
    Place.objects.filter(path=str(folder)).update(gone_at=timezone.now())
    part = shown(page, merged(folder))
    assert "It is not there any more." in part
    assert str(folder) not in part
    assert "Train on it" not in part


def test_it_comes_to_an_open_page_with_the_state(user: User, home: Path) -> None:
    folder = model(user, home / "made")
    job = merged(folder)
    [message] = new_state(job.pk, job.uuid, 0, 1)
    assert 'id="run-result"' in message
    assert artifact_at(folder).get_absolute_url() in message


def test_before_the_end_there_is_none(page: Client, user: User) -> None:
    job = factories.make_job(user, kind="merge", status=Status.RUNNING)
    assert "here once it is whole" in shown(page, job)


def test_what_it_was_made_from_stands_there_with_its_hash(
    page: Client, user: User, home: Path
) -> None:
    first, second = model(user, home / "a"), model(user, home / "b")
    text = f"merge_method: linear\nmodels: [{{model: {first}}}, {{model: {second}}}]\n"
    job = factories.make_job(user, kind="merge", spec={"recipe": text}, status=Status.RUNNING)
    keep_inputs(job)
    Artifact.objects.filter(places__path=str(first)).update(size=2048)
    before = shown(page, job)
    assert f'<code class="override-value">{first}</code>' in before
    assert "2.0 KiB" in before
    assert "ab" * 32 not in before
    said = {str(first): "ab" * 32, str(second): "cd" * 32, "/elsewhere": "no hash"}
    job.events.create(
        kind="made", source="run", attempt=1, message="made", data={"inputs": said}, at=NOW
    )
    Place.objects.filter(path=str(second)).update(gone_at=NOW)
    after = " ".join(shown(page, job).split())
    for role, folder, digest in (("Model 1", first, "ab" * 32), ("Model 2", second, "cd" * 32)):
        assert f'<a href="{artifact_at(folder).get_absolute_url()}">{role}</a>' in after
        assert f'title="{digest}">{digest}</code>' in after
    assert after.count("gone") == 1
    assert "no hash" not in after


def test_as_many_queries_for_many_inputs_as_for_two(page: Client, user: User, home: Path) -> None:
    counts = []
    for count in (2, 9):
        folders = [model(user, home / f"{count}-{nr}") for nr in range(count)]
        rows = "".join(f"- model: {folder}\n" for folder in folders)
        text = f"merge_method: linear\nmodels:\n{rows}"
        job = factories.make_job(user, kind="merge", spec={"recipe": text})
        keep_inputs(job)
        counts.append(queries(page, job.get_absolute_url()))
    assert counts[0] == counts[1]
