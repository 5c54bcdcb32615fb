"""The list of artifacts, the page of one, and deleting and pinning there."""

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from jobs.checkpoints import list_checkpoints
from jobs.models import Artifact, Job, Place, Removal, Status
from tests import factories, taskqueue
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

pytestmark = pytest.mark.usefixtures("queue")
URL = "/artifacts/"


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, name="a <run>", status=Status.PAUSED)
    for step in (10, 20):
        factories.write_run_file(job, f"checkpoints/global_step_{step}/model.pt", b"x" * 2048)
    factories.write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", "20")
    list_checkpoints(job)
    return job


@pytest.fixture
def artifact(job: Job) -> Artifact:
    return job.artifacts.get(step=20)


def text_of(page: Client, url: str) -> str:
    response = page.get(url)
    assert response.status_code == 200
    return response.content.decode()


def delete_url(artifact: Artifact) -> str:
    return f"{URL}{artifact.pk}/delete/{artifact.places.get().pk}/"


def shown(page: Client, query: str) -> list[int]:
    rows = page.get(f"{URL}?{query}").context["page"].object_list
    return [artifact.step for artifact in rows]


def test_list_sorted_and_filtered(page: Client, job: Job, artifact: Artifact) -> None:
    text = text_of(page, URL)
    assert "a &lt;run&gt;" in text
    assert "Checkpoint of step" not in text  # a label begins small within a table
    assert shown(page, "sort=step") == [10, 20]
    assert shown(page, "sort=-step&kind=checkpoint&state=there") == [20, 10]
    assert shown(page, f"job={job.pk}&sort=nonsense&page=99") != []
    assert shown(page, "job=x&machine=999999999999&state=huh&kind=huh&q=%00") != []
    assert shown(page, "kind=reward") == shown(page, "state=gone") == shown(page, "q=none") == []
    assert shown(page, f"machine={job.machine_id + 1}") == []
    Artifact.objects.filter(pk=artifact.pk).update(is_whole=False, pinned_by="ada")
    assert shown(page, "state=broken") == [20]
    part = page.get(URL, headers=HTMX).content.decode()
    assert part.lstrip().startswith("<section")


def test_a_list_takes_the_same_queries_for_one_row_and_three(page: Client, user: User) -> None:
    factories.keep_checkpoints(factories.make_job(user), {1: 5})
    one = queries(page, URL)
    factories.keep_checkpoints(factories.make_job(user), {1: 5, 2: 5})
    assert queries(page, URL) == one


def test_the_page_of_one(page: Client, job: Job, artifact: Artifact) -> None:
    text = text_of(page, artifact.get_absolute_url())
    assert "attempt 1, step 20" in text
    assert str(Path(job.run_dir, "checkpoints/global_step_20")) in text
    assert "nobody has looked into them" in text
    assert "2.0 KiB" in text
    assert delete_url(artifact) in text
    assert artifact.get_absolute_url() in text_of(page, job.get_absolute_url())
    assert "Lineage of a &lt;run&gt;" in text_of(page, f"{URL}of-job/{job.pk}/")


def test_a_version_of_a_data_set_shows_who_read_it(page: Client, user: User, other: User) -> None:
    version = factories.make_version()
    link = f"{URL}of-version/{version.pk}/"
    assert link in text_of(page, version.get_absolute_url())
    assert "No job has read this version yet" in page.get(link, follow=True).content.decode()
    row = Artifact.objects.create(kind="dataset", name=version.label, version=version)
    theirs = factories.make_job(other, name="theirs")
    for job in (factories.make_job(user, name="mine"), theirs):
        job.inputs.create(artifact=row, role="data")
    text = page.get(link, follow=True).content.decode()
    assert "mine" in text
    assert "theirs" not in text
    assert page.post(f"{URL}{row.pk}/pin/").status_code == 404  # seen by all, changed by none


def test_the_question_says_what_is_freed_and_lost(page: Client, artifact: Artifact) -> None:
    text = text_of(page, delete_url(artifact))
    assert "Delete the checkpoint of step 20?" in text
    assert "2.0 KiB are freed on" in text
    assert "would go on from" in text
    assert page.post(delete_url(artifact)).status_code == 422
    assert not Removal.objects.exists()


def test_it_is_deleted_after_a_second_word(page: Client, artifact: Artifact, job: Job) -> None:
    response = page.post(delete_url(artifact), {"sure": "1"})
    assert response.headers["Location"] == artifact.get_absolute_url()
    removal = Removal.objects.get()
    assert removal.who == "ada"
    text = text_of(page, artifact.get_absolute_url())
    assert "Being deleted" in text
    assert artifact.get_absolute_url() not in text_of(page, job.get_absolute_url())
    Removal.objects.update(beat_at=job.created_at.replace(year=2020))
    assert "What was to delete it is gone" in text_of(page, artifact.get_absolute_url())
    assert page.post(delete_url(artifact), {"sure": "1"}).status_code == 302


def test_a_refusal_is_shown(page: Client, artifact: Artifact) -> None:
    page.post(f"{URL}{artifact.pk}/pin/")
    assert "by ada: it is not deleted" in text_of(page, artifact.get_absolute_url())
    assert "It is pinned by ada." in text_of(page, delete_url(artifact))
    response = page.post(delete_url(artifact), {"sure": "1"}, follow=True)
    assert "It is pinned by ada." in response.content.decode()
    page.post(f"{URL}{artifact.pk}/unpin/")
    artifact.refresh_from_db()
    assert not artifact.is_pinned


def test_someone_else_s_is_404_and_login_is_asked_for(
    client: Client, other: User, artifact: Artifact, job: Job
) -> None:
    urls = [f"{URL}{artifact.pk}/", f"{URL}of-job/{job.pk}/", delete_url(artifact)]
    assert all(asks_for_login(url) for url in (URL, *urls))
    client.force_login(other)
    assert [client.get(url).status_code for url in urls] == [404, 404, 404]
    assert list(client.get(URL).context["page"].object_list) == []
    for verb in ("pin", "unpin"):
        assert client.post(f"{URL}{artifact.pk}/{verb}/").status_code == 404
    assert client.post(delete_url(artifact), {"sure": "1"}).status_code == 404


def test_other_methods(page: Client, artifact: Artifact) -> None:
    assert refuses_other_methods(page, URL, "get")
    assert refuses_other_methods(page, artifact.get_absolute_url(), "get")
    assert refuses_other_methods(page, f"{URL}{artifact.pk}/pin/", "post")
    assert refuses_other_methods(page, delete_url(artifact), "get", "post")
    elsewhere = factories.make_job()
    factories.keep_checkpoints(elsewhere, {1: 5})
    foreign = Place.objects.get(artifact__job=elsewhere)
    assert page.get(f"{URL}{artifact.pk}/delete/{foreign.pk}/").status_code == 404


def test_commands(
    artifact: Artifact, job: Job, staff: User, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("artifacts", "list", "--job", str(job.pk), "--json")
    rows = json.loads(capsys.readouterr().out)
    assert [(row["step"], row["bytes"], row["is_whole"]) for row in rows] == [
        (20, 2048, True),
        (10, 2048, True),
    ]
    call_command("artifacts", "list")
    assert f"job {job.pk}" in capsys.readouterr().out
    call_command("artifacts", "pin", str(artifact.pk))
    with pytest.raises(CommandError, match="pinned by root"):
        call_command("artifacts", "delete", str(artifact.pk), "--sure")
    call_command("artifacts", "unpin", str(artifact.pk))
    with pytest.raises(CommandError, match="Say --sure"):
        call_command("artifacts", "delete", str(artifact.pk))
    call_command("artifacts", "delete", str(artifact.pk), "--sure")
    assert "2.0 KiB freed" in capsys.readouterr().out
    with pytest.raises(CommandError, match="lies nowhere"):
        call_command("artifacts", "delete", str(artifact.pk))
    with pytest.raises(CommandError, match="no artifact 999"):
        call_command("artifacts", "pin", "999")


def test_admin(
    client: Client, staff: User, artifact: Artifact, django_capture_on_commit_callbacks: OnCommit
) -> None:
    client.force_login(staff)

    def act(action: str) -> str:
        data = {"action": action, "_selected_action": [artifact.pk]}
        response = client.post("/admin/jobs/artifact/", data, follow=True)
        return response.content.decode()

    assert "1 pinned" in act("pin")
    assert "is pinned by root" in act("delete_files")
    assert "1 unpinned" in act("unpin")
    assert "would go on from" in act("delete_files")
    Job.objects.update(status=Status.COMPLETED)
    with django_capture_on_commit_callbacks(execute=True):
        assert "1 being deleted." in act("delete_files")
    assert [name for name, _ in taskqueue.take_all()] == ["platform_site.work.tasks.start"]
