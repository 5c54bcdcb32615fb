"""Deleting a job: what stands in its way, what goes with it, what stays, and what is told of it."""

import io
import json
import uuid as uuids
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from compute.runners.base import Alive, RunnerError, Unreachable
from compute.runners.local.runner import LocalRunner
from compute.runners.ssh.runner import SshRunner
from jobs import resuming
from jobs.archive import deleting
from jobs.archive.refusals import warnings, why_not
from jobs.artifacts.deleting import DeleteError, NeedsSecondWord, pin
from jobs.artifacts.story import known_of
from jobs.checkpoints import list_checkpoints
from jobs.launch import submit
from jobs.models import Artifact, Deletion, Event, Fetch, Job, JobInput, Place, SavedRecipe, Status
from jobs.places import mirror_folder
from monitoring.models import Series
from platform_site.work import models, verbs
from platform_site.work.models import State
from tests import factories, taskqueue
from tests.pages import asks_for_login, refuses_other_methods

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]
NOW = timezone.now()
LOG = "five\n"


@pytest.fixture
def job(user: User) -> Job:
    job = factories.make_job(user, name="a run", status=Status.COMPLETED, started_at=NOW)
    for step in (10, 20):
        factories.write_run_file(job, f"checkpoints/global_step_{step}/model.pt", b"x" * step)
    factories.write_run_file(job, "checkpoints/latest_checkpointed_iteration.txt", "20")
    factories.write_run_file(job, "train.log", LOG)
    factories.add_points(job, "train/loss", {1: 0.5, 2: 0.25})
    list_checkpoints(job)
    return job


def folder(job: Job) -> Path:
    return Path(job.run_dir).parent


def artifact(job: Job, step: int) -> Artifact:
    return Artifact.objects.get(job=job, step=step)


def reader(job: Job, step: int | None, **fields: Any) -> Job:
    """A job that reads a checkpoint, or waits for the newest model."""
    made = factories.make_job(job.owner, name="a reader", **fields)
    given = {"source": job} if step is None else {"artifact": artifact(job, step)}
    JobInput.objects.create(job=made, role=JobInput.Role.MODEL, **given)
    return made


def become(job: Job, **fields: Any) -> None:
    Job.objects.filter(pk=job.pk).update(**fields)
    job.refresh_from_db()


def test_all_of_it_goes_and_a_record_stays(job: Job, user: User) -> None:
    where, pk = folder(job), job.pk
    deletion = deleting.delete_now(job, who="ada")
    assert not where.exists()
    assert not list(where.parent.iterdir())  # nor under another name
    for rows in (Job, Event, Artifact, Place, Series):
        assert not rows._default_manager.exists()
    assert (deletion.state, deletion.number, deletion.name) == (State.DONE, pk, "a run")
    assert deletion.freed == 10 + 20 + len("20") + len(LOG)
    assert (deletion.job, deletion.owner, deletion.left) == (None, user, "")


def test_others_keep_theirs(job: Job, user: User) -> None:
    other = factories.make_job(user, status=Status.COMPLETED, started_at=NOW)
    factories.write_run_file(other, "train.log", LOG)
    factories.add_points(other, "train/loss", {1: 0.5})
    saved = SavedRecipe.objects.create(
        slug="my-one", title="One", kind="sft", spec={}, owner=user, job=job
    )
    clone = factories.make_job(user, recipe=f"job-{job.pk}", after=job)
    deleting.delete_now(job, who="ada", sure=True)
    assert Path(other.run_dir, "train.log").read_text() == LOG
    assert Series.objects.get().job == other
    saved.refresh_from_db()
    clone.refresh_from_db()
    assert (saved.job, clone.after, clone.recipe) == (None, None, f"job-{clone.pk - 2}")


def test_what_another_was_made_from_stays_in_its_lineage(page: Client, job: Job) -> None:
    made = reader(job, 20, status=Status.COMPLETED)
    deleting.delete_now(job, who="ada")
    left = Artifact.objects.get()
    assert (left.step, left.job, left.places.there().count()) == (20, None, 0)
    assert made.inputs.get().artifact == left
    content = page.get(f"/artifacts/of-job/{made.pk}/").content.decode()
    assert "heckpoint of step 20" in content


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": Status.STARTING}, "It is starting: stop it first."),
        ({"status": Status.RUNNING}, "It is running: stop it first."),
        ({"status": Status.QUEUED, "held_at": NOW}, "It is held: stop it first."),
        ({"status": Status.LOST, "retry_at": NOW}, "about to be tried again: stop it first."),
    ],
)
def test_not_while_it_is_underway(job: Job, fields: dict[str, Any], says: str) -> None:
    become(job, **fields)
    with pytest.raises(DeleteError, match=says):
        deleting.delete_now(job, who="ada", sure=True)
    assert folder(job).is_dir()


@pytest.mark.parametrize(
    ("step", "fields", "says"),
    [
        (20, {"status": Status.QUEUED}, "which is queued, reads the checkpoint of step 20"),
        (10, {"status": Status.RUNNING}, "which is running, reads the checkpoint of step 10"),
        (10, {"status": Status.PAUSED}, "which is paused, reads the checkpoint of step 10"),
        (10, {"status": Status.FAILED, "retry_at": NOW}, "which is failed, reads the checkpoint"),
        (None, {"status": Status.QUEUED}, "which is queued, reads its newest model"),
    ],
)
def test_not_while_another_needs_its_files(
    job: Job, step: int | None, fields: dict[str, Any], says: str
) -> None:
    needs = reader(job, step, **fields)
    with pytest.raises(DeleteError, match=says) as refused:
        deleting.delete_now(job, who="ada", sure=True)
    assert f"Job {needs.pk} (a reader)" in str(refused.value)
    assert known_of(job)


def test_not_while_it_is_pinned_fetched_or_waited_for(job: Job, user: User) -> None:
    pin(artifact(job, 10), who="bob")
    Fetch.objects.create(job=job, step=10, source="/a", target="/b")
    become(job, status=Status.PAUSED)
    waits = factories.make_job(user, name="later", status=Status.QUEUED, after=job)
    assert why_not(job) == [
        "The checkpoint of step 10 is pinned by bob: unpin it first.",
        f"Job {waits.pk} (later) waits until it has ended.",
        "A checkpoint of it is being brought here: wait for that, or cancel it.",
    ]


def test_what_a_process_that_died_was_doing_is_in_nobodys_way(job: Job) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    Fetch.objects.create(job=job, step=10, source="/a", target="/b", beat_at=long_ago)
    artifact(job, 10).places.get().removals.create(beat_at=long_ago)
    assert why_not(job) == []
    Fetch.objects.update(beat_at=timezone.now())
    assert len(why_not(job)) == 1


def test_a_second_word_is_asked_for(job: Job, user: User) -> None:
    become(job, status=Status.FAILED)
    draft = reader(job, 10, status=Status.DRAFT)
    again = reader(job, 20, status=Status.FAILED, started_at=NOW)
    begins = factories.make_job(user, name="next", after=job)
    assert warnings(job) == [
        "It is failed and could go on from step 20.",
        f"Job {draft.pk} (a reader), which is draft, is to read the checkpoint of step 10.",
        f"Job {again.pk} (a reader), which is failed, has read the checkpoint of step 20.",
        f"Job {begins.pk} (next), a draft, is to start after it.",
    ]
    with pytest.raises(NeedsSecondWord, match="could go on from step 20"):
        deleting.delete_now(job, who="ada")
    assert deleting.delete_now(job, who="ada", sure=True).is_done


def test_while_it_is_deleted_nothing_starts_it_or_reads_it(job: Job) -> None:
    become(job, status=Status.FAILED)
    assert deleting.delete_all([job], who="ada", sure=True) == (1, [])
    job.refresh_from_db()
    assert not job.can_resume
    assert not resuming.resume(Job.objects.get(pk=job.pk), who="bob")
    assert known_of(job) == []
    told = f"Job {job.pk} is being deleted already: ada asked for it."
    assert deleting.delete_all([job], who="bob", sure=True) == (0, [told])
    assert folder(job).is_dir()  # until a process of its own does it


def test_a_draft_that_is_deleted_cannot_be_started(user: User) -> None:
    draft = factories.make_job(user)
    stale = Job.objects.get(pk=draft.pk)
    deleting.delete_all([draft], who="ada")
    assert not submit.enqueue(stale, who="ada")
    assert deleting.work_off(Deletion.objects.get())
    assert not Job.objects.exists()


def test_a_page_has_all_done_by_one_process_of_its_own(
    job: Job,
    user: User,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(
        "platform_site.work.process.subprocess.Popen", lambda argv, **_: started.append(argv)
    )
    others = [factories.make_job(user, status=Status.COMPLETED) for _ in range(3)]
    kept = factories.make_job(user, status=Status.RUNNING)
    with django_capture_on_commit_callbacks(execute=True):
        done, refused = deleting.delete_all([job, *others, kept], who="ada")
    assert done == 4
    assert refused == [f"Job {kept.pk} is not deleted. It is running: stop it first."]
    taskqueue.work()
    [argv] = started
    call_command(*argv[2:])
    assert list(Job.objects.all()) == [kept]
    assert [each.is_done for each in Deletion.objects.all()] == [True] * 4


def fails(problem: Exception, after: int = 0) -> Callable[..., int]:
    calls: list[str] = []
    remove = LocalRunner.remove

    def failing(self: LocalRunner, path: str) -> int | None:
        calls.append(path)
        if len(calls) > after:
            raise problem
        return remove(self, path)

    return failing  # type: ignore[return-value]


def test_what_failed_is_told_and_can_be_asked_again(
    page: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LocalRunner, "remove", fails(RunnerError("The disk is read-only."), 1))
        with pytest.raises(DeleteError, match="The disk is read-only"):
            deleting.delete_now(job, who="ada")
    job.refresh_from_db()
    assert job.deleting_at is None
    assert [saved.step for saved in known_of(job)] == [10]  # the other one is gone
    last = job.events.last()
    assert last is not None
    assert (last.kind, last.who, last.message) == (
        "job not deleted", "ada", "The disk is read-only.",
    )  # fmt: skip
    for url in ("/jobs/", f"/jobs/{job.pk}/"):
        assert b"It was not deleted. The disk is read-only." in page.get(url).content
    assert deleting.delete_now(job, who="bob").is_done


def test_a_process_that_died_is_asked_for_again(page: Client, job: Job) -> None:
    deleting.delete_all([job], who="ada")
    died = Deletion.objects.get()
    assert verbs.claim(died)
    verbs.keep(died, done=5, total=20)
    assert b'value="25.0"' in page.get("/jobs/").content
    long_ago = timezone.now() - models.SILENT_AFTER[State.WORKING] - timedelta(seconds=1)
    Deletion.objects.update(beat_at=long_ago)
    assert b"What deleted it is gone." in page.get("/jobs/").content
    assert deleting.delete_all([Job.objects.get()], who="bob") == (1, [])
    again = Deletion.objects.get()
    assert again.who == "bob"
    assert deleting.work_off(again)
    assert not Job.objects.exists()


@pytest.fixture
def far(user: User) -> Job:
    """On a machine that does not answer; something of it was brought here."""
    machine = factories.make_ssh_machine(workdir="/far")
    job = factories.make_job(user, machine=machine, status=Status.COMPLETED, started_at=NOW)
    factories.keep_checkpoints(job, {10: 1000}, latest=10)
    log = mirror_folder(job.uuid) / "attempt-1" / "train.log"
    log.parent.mkdir(parents=True)
    log.write_text(LOG)
    return job


def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    def remove(self: SshRunner, path: str) -> int:
        raise Unreachable("far does not answer.")

    monkeypatch.setattr(SshRunner, "remove", remove)


def test_a_machine_that_does_not_answer_keeps_the_job(
    far: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf(monkeypatch)
    with pytest.raises(DeleteError, match="Ask again when it answers, or let its files stay"):
        deleting.delete_now(far, who="ada")
    far.machine.refresh_from_db()
    assert far.machine.unreachable_since
    assert mirror_folder(far.uuid).is_dir()
    deletion = deleting.delete_now(far, who="ada", sure=True, leaves=True)
    assert deletion.left == f"/far/runs/{far.uuid} on {far.machine}"
    assert deletion.freed == len(LOG)
    assert not mirror_folder(far.uuid).exists()
    assert not Job.objects.exists()


def test_of_a_machine_that_was_removed_the_files_stay(far: Job) -> None:
    far.machine.is_retired = True
    far.machine.save()
    with pytest.raises(NeedsSecondWord, match="was removed from Trainyard: its files stay there"):
        deleting.delete_now(far, who="ada")
    assert "/far/runs/" in deleting.delete_now(far, who="ada", sure=True).left


def test_every_far_part_is_asked_of_its_machine(far: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def remove(self: SshRunner, path: str) -> int:
        asked.append(path)
        return 1000

    monkeypatch.setattr(SshRunner, "remove", remove)
    assert deleting.delete_now(far, who="ada").freed == 2000 + len(LOG)
    runs = f"/far/runs/{far.uuid}"
    assert asked == [f"{runs}/attempt-1/checkpoints/global_step_10", runs]


def test_a_lost_run_that_lives_is_left(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    become(job, status=Status.LOST)
    with monkeypatch.context() as patch:
        patch.setattr(LocalRunner, "alive", lambda self, path: Alive(wrapper=False, process=True))
        with pytest.raises(DeleteError, match="Its process still runs on"):
            deleting.delete_now(job, who="ada", sure=True)
    assert folder(job).is_dir()


def test_the_page_says_what_becomes_of_it_and_who_reads_it(page: Client, job: Job) -> None:
    made = reader(job, 20, status=Status.COMPLETED)
    content = page.get(f"/jobs/delete/?job={job.pk}").content.decode()
    flat = " ".join(content.split())
    assert "<dt>Checkpoints</dt> <dd> 2, 30 B" in flat
    assert f"<dt>On this machine</dt> <dd> {30 + 2 + len(LOG)} B" in flat
    assert "<dt>Points of metrics</dt> <dd> 2 </dd>" in flat
    assert str(folder(job)) in content
    assert f"Job {made.pk} (a reader), which is completed, has read the checkpoint" in content
    assert 'name="sure"' not in content
    answer = page.post("/jobs/delete/", {"job": job.pk}, follow=True)
    assert answer.redirect_chain == [("/jobs/", 302)]
    assert b"One job is being deleted." in answer.content
    assert b"It is being deleted." in answer.content
    assert Deletion.objects.get().who == "ada"


def test_the_page_asks_for_the_second_word(page: Client, job: Job) -> None:
    become(job, status=Status.FAILED)
    assert b"could go on from step 20" in page.get(f"/jobs/delete/?job={job.pk}").content
    refused = page.post("/jobs/delete/", {"job": job.pk})
    assert refused.status_code == 422
    assert b"Tick this to delete all the same." in refused.content
    assert not Deletion.objects.exists()
    page.post("/jobs/delete/", {"job": job.pk, "sure": "1"})
    assert Deletion.objects.exists()


def test_of_many_those_that_can_go_do(page: Client, user: User, job: Job) -> None:
    runs = factories.make_job(user, name="runs", status=Status.RUNNING)
    content = page.get(f"/jobs/delete/?job={job.pk}&job={runs.pk}").content.decode()
    assert "It is running: stop it first." in content
    assert "1 job" in " ".join(content.split("</main>")[0].split("<button")[-1].split())
    answer = page.post("/jobs/delete/", {"job": [job.pk, runs.pk]}, follow=True)
    assert f"Job {runs.pk} is not deleted. It is running" in answer.content.decode()
    assert Deletion.objects.get().job == job


def test_somebody_elses_and_methods(page: Client, other: User, job: Job) -> None:
    theirs = factories.make_job(other, name="theirs")
    for answer in (
        page.get(f"/jobs/delete/?job={theirs.pk}", follow=True),
        page.post("/jobs/delete/", {"job": theirs.pk}, follow=True),
    ):
        assert b"theirs" not in answer.content
    assert not Deletion.objects.exists()
    assert refuses_other_methods(page, f"/jobs/delete/?job={job.pk}", "get", "post")
    assert asks_for_login("/jobs/delete/")


def command(*argv: str) -> Any:
    out = io.StringIO()
    call_command("delete", *argv, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command(job: Job, staff: User) -> None:
    become(job, status=Status.FAILED)
    seen = command(str(job.pk), "--look")[0]
    assert (seen["points"], seen["bytes_here"]) == (2, 30 + 2 + len(LOG))
    assert seen["artifacts"] == [{"what": "Checkpoint", "count": 2, "size": 30}]
    assert Job.objects.exists()
    with pytest.raises(CommandError, match="Say --sure to delete it all the same"):
        command(str(job.pk))
    assert command(str(job.pk), "--sure")[0]["freed"] == 30 + 2 + len(LOG)
    assert not Job.objects.exists()


def test_the_command_in_words(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    become(job, status=Status.RUNNING)
    call_command("delete", str(job.pk), "--look")
    said = capsys.readouterr().out
    assert "Not deleted: It is running: stop it first." in said
    assert "Checkpoint: 2, 30 B" in said


def test_the_admin_leads_to_the_page(client: Client, staff: User, job: Job) -> None:
    client.force_login(staff)
    chosen = {"action": "delete_with_files", "_selected_action": [job.pk]}
    answer = client.post("/admin/jobs/job/", chosen)
    assert answer.headers["Location"] == f"/jobs/delete/?job={job.pk}"
    assert client.post(f"/admin/jobs/job/{job.pk}/delete/").status_code == 403
    deleting.delete_now(job, who="ada")
    assert b"a run" in client.get("/admin/jobs/deletion/").content


def test_a_folder_that_is_no_run_is_never_removed(job: Job) -> None:
    runner = LocalRunner("", job.machine.workdir)
    for path in ("runs", f"runs/{uuids.uuid4()}/attempt-1", "runs/x", "", f"samples/{job.uuid}"):
        with pytest.raises(RunnerError, match="no folder that a run made"):
            runner.remove(f"{job.machine.workdir}/{path}")
