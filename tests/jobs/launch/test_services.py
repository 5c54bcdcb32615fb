import threading
import uuid as uuids
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from compute.models import Machine
from compute.runners import base
from compute.runners.local.runner import LocalRunner
from compute.runners.node import node_digest
from jobs import lifecycle
from jobs.launch import command, end, overdue, start, submit
from jobs.models import Job, Status
from jobs.places import places
from jobs.provenance.trainyard import itself
from jobs.queue import claims
from jobs.verl.recipes import all_recipes
from jobs.verl.spec import TrainSpec
from tests import factories, taskqueue
from tests.fakes import FakeTrainer
from tests.waiting import together

pytestmark = pytest.mark.usefixtures("queue")


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[base.Launch]:
    """Launches are noted, not done."""
    found: list[base.Launch] = []
    monkeypatch.setattr(LocalRunner, "launch", lambda self, launch: found.append(launch))
    return found


def refuse(monkeypatch: pytest.MonkeyPatch, method: str, error: Exception) -> None:
    def refused(*args: object) -> None:
        raise error

    monkeypatch.setattr(LocalRunner, method, refused)


def told(job: Job) -> list[tuple[str, str, str]]:
    return [(event.kind, event.who, event.message) for event in job.events.all()]


def test_a_draft_starts_nothing(user: User, django_capture_on_commit_callbacks: OnCommit) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        spec = all_recipes()["sample-sft"].spec(places())
        job = submit.submit(factories.make_order(user, name="first", spec=spec), start=False)
    assert (job.status, job.name, job.kind, job.steps) == (Status.DRAFT, "first", "sft", 3)
    assert job.is_sample is True
    assert taskqueue.size() == 0


def test_a_start_is_queued_and_told(
    user: User, django_capture_on_commit_callbacks: OnCommit
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        job = submit.submit(factories.make_order(user, recipe="sft"), start=True)
    assert job.status == Status.QUEUED
    assert job.queued_at is not None
    assert job.is_sample is False
    assert told(job) == [("queued", "ada", "")]
    assert taskqueue.take_all() == [("jobs.tasks.launch_queued", (job.machine_id,))]


def test_a_job_is_made_and_queued_while_nobody_can_delete(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, made = claims.locked, list[bool]()

    def noted(*machines: int) -> Machine:
        made.append(Job.objects.exists())
        return locked(*machines)

    monkeypatch.setattr(claims, "locked", noted)
    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "move", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            submit.submit(factories.make_order(user), start=True)
    assert not Job.objects.exists()  # no draft, which a deletion would not mind
    assert made[0] is False


@pytest.mark.backends
@pytest.mark.django_db(transaction=True)
def test_sent_twice_is_one_job_and_one_start(launched: list[base.Launch], user: User) -> None:
    order = factories.make_order(user)
    first = submit.submit(order, start=True)
    second = submit.submit(order, start=True)
    assert first.pk == second.pk
    assert Job.objects.count() == 1
    taskqueue.work()
    submit.submit(order, start=True)
    taskqueue.work()
    assert len(launched) == 1
    assert [kind for kind, _, _ in told(first)] == ["queued", "starting", "running"]


@pytest.mark.backends
@pytest.mark.django_db(transaction=True)
def test_two_tabs_at_once_start_one_run(launched: list[base.Launch], user: User) -> None:
    machine = factories.make_machine(slots=8)
    order = factories.make_order(user, machine=machine)
    barrier = threading.Barrier(4)

    def press() -> None:
        barrier.wait()
        submit.submit(order, start=True)

    together(press, 4)
    assert Job.objects.count() == 1
    together(lambda: start.launch_queued(machine.pk), 4)
    assert len(launched) == 1


@pytest.mark.backends
@pytest.mark.django_db(transaction=True)
def test_workers_at_once_keep_to_the_slots(launched: list[base.Launch], user: User) -> None:
    machine = factories.make_machine(slots=2)
    for _ in range(5):
        submit.submit(factories.make_order(user, machine=machine), start=True)
    together(lambda: start.launch_queued(machine.pk), 4)
    assert len(launched) == 2
    assert len({launch.attempt_dir for launch in launched}) == 2
    assert Job.objects.active().count() == 2
    assert Job.objects.queued().count() == 3


def test_another_users_id_gives_no_job_of_theirs(user: User, other: User) -> None:
    submit.submit(factories.make_order(user, uuid=(same := uuids.uuid4())), start=False)
    with pytest.raises(IntegrityError):
        submit.submit(factories.make_order(other, uuid=same), start=False)


def test_enqueued_twice_is_queued_once(user: User) -> None:
    job = factories.make_job(user)
    assert submit.enqueue(job, who="ada") is True
    assert submit.enqueue(Job.objects.get(pk=job.pk), who="bob") is False
    assert told(job) == [("queued", "ada", "")]


@pytest.mark.parametrize("status", ["running", "completed", "failed", "stopped", "lost"])
def test_only_a_draft_can_be_queued(user: User, status: str) -> None:
    job = factories.make_job(user, status=status)
    assert submit.enqueue(job, who="ada") is False
    assert job.status == status


def test_the_oldest_is_started_first(launched: list[base.Launch], user: User) -> None:
    now = timezone.now()
    late = queued(user, queued_at=now)
    early = queued(user, queued_at=now - timedelta(seconds=9))
    start.launch_queued(late.machine_id)
    assert [launch.attempt_dir for launch in launched] == [early.run_dir]
    assert status_of(late) == Status.QUEUED


def test_a_machine_with_two_slots_runs_two(launched: list[base.Launch], user: User) -> None:
    machine = factories.make_machine(slots=2)
    jobs = [queued(user, machine=machine) for _ in range(3)]
    start.launch_queued(machine.pk)
    assert [status_of(job) for job in jobs] == ["running", "running", "queued"]


def test_after_waits_and_then_starts(
    launched: list[base.Launch], user: User, django_capture_on_commit_callbacks: OnCommit
) -> None:
    machine = factories.make_machine(slots=2)
    first = factories.make_job(user, machine=machine, status=Status.RUNNING)
    second = queued(user, machine=machine, after=first)
    start.launch_queued(machine.pk)
    assert launched == []
    with django_capture_on_commit_callbacks(execute=True):
        end.finish(first, 1)
    taskqueue.work()
    assert status_of(second) == Status.RUNNING


def test_a_launch_has_the_command_of_the_job(launched: list[base.Launch], user: User) -> None:
    job = queued(user, name="x'; touch pwned #")
    start.launch_queued(job.machine_id)
    [launch] = launched
    assert launch.attempt_dir == f"{job.machine.workdir}/runs/{job.uuid}/attempt-1"
    assert launch.argv[0] == job.machine.python
    assert f"trainer.experiment_name=x-touch-pwned-{str(job.uuid)[:8]}" in launch.argv
    assert launch.env["VERL_FILE_LOGGER_PATH"] == f"{job.run_dir}/metrics.jsonl"
    assert status_of(job) == Status.RUNNING


def test_a_launch_keeps_which_trainyard_and_recipe_it_was(
    launched: list[base.Launch], user: User
) -> None:
    job = queued(user)
    start.launch_queued(job.machine_id)
    kept = job.provenance.get()
    assert (kept.attempt, kept.part) == (1, "platform")
    assert (kept.data["version"], kept.data["node"]) == (itself()["version"], node_digest())
    assert kept.data["recipe"]["slug"] == job.recipe
    assert len(kept.data["recipe"]["digest"]) == 64


def test_a_launch_that_fails_says_why_and_frees_the_slot(
    user: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: OnCommit
) -> None:
    refuse(monkeypatch, "launch", base.RunnerError("There is no Python."))
    first, second = queued(user), queued(user)
    with django_capture_on_commit_callbacks(execute=True):
        start.launch_queued(first.machine_id)
    first.refresh_from_db()
    assert first.status == Status.FAILED
    assert first.reason == "It could not be started. There is no Python."
    assert first.ended_at is not None
    assert status_of(second) == Status.FAILED


def test_a_launch_that_is_unsure_is_neither_failed_nor_tried_again(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "launch", base.RunnerUnsure("run gave no answer for 60 s."))
    job = queued(user)
    start.launch_queued(job.machine_id)
    start.launch_queued(job.machine_id)
    assert status_of(job) == Status.STARTING
    assert told(job)[-1] == ("launch unsure", "", "run gave no answer for 60 s.")
    assert [kind for kind, _, _ in told(job)] == ["starting", "launch unsure"]


def test_no_python_fails_the_job(user: User) -> None:
    machine = factories.make_machine(python="/nowhere/python")
    job = queued(user, machine=machine)
    start.launch_queued(machine.pk)
    job.refresh_from_db()
    assert job.status == Status.FAILED
    assert "There is no Python at /nowhere/python" in job.reason


def test_a_run_directory_that_cannot_be_made_fails_the_job(user: User, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    job = queued(user, machine=factories.make_machine(workdir=str(tmp_path / "file")))
    start.launch_queued(job.machine_id)
    job.refresh_from_db()
    assert job.status == Status.FAILED
    assert job.reason.startswith("It could not be started. The run directory could not be made")


def test_stop_ends_a_waiting_job_at_once(user: User) -> None:
    job = queued(user)
    assert end.stop(job, who="ada") is True
    assert (job.status, job.reason) == ("stopped", "Stopped before it started.")
    assert told(job) == [("stopped", "ada", "Stopped before it started.")]
    assert job.ended_at is not None


def test_stop_asks_a_running_job_once(
    user: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: OnCommit
) -> None:
    stopped: list[tuple[str, int]] = []
    monkeypatch.setattr(LocalRunner, "stop", lambda self, *args: stopped.append(args))
    job = factories.make_job(user, status=Status.RUNNING)
    with django_capture_on_commit_callbacks(execute=True):
        assert end.stop(job, who="ada") is True
        assert end.stop(Job.objects.get(pk=job.pk), who="bob") is False
    assert job.status == Status.RUNNING
    assert job.stop_asked_at is not None
    assert told(job) == [("stop asked", "ada", "")]
    assert taskqueue.work() == [("jobs.tasks.stop_run", (job.pk,))]
    assert stopped == [(job.run_dir, 1)]


@pytest.mark.parametrize("status", ["draft", "completed", "failed", "stopped", "lost"])
def test_stop_comes_too_late(user: User, status: str) -> None:
    job = factories.make_job(user, status=status)
    assert end.stop(job, who="ada") is False
    assert job.status == status
    assert told(job) == []


def test_stop_with_an_old_page_does_not_call_a_run_stopped_that_goes_on(user: User) -> None:
    job = queued(user)
    Job.objects.filter(pk=job.pk).update(status=Status.RUNNING)
    assert end.stop(job, who="ada") is True
    assert job.status == Status.RUNNING
    assert told(job) == [("stop asked", "ada", "")]


def test_a_stop_that_came_during_the_start_is_not_forgotten(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queued(user)
    stopped: list[str] = []

    def launch(self: LocalRunner, launch: base.Launch) -> None:
        end.stop(Job.objects.get(pk=job.pk), who="ada")

    monkeypatch.setattr(LocalRunner, "launch", launch)
    monkeypatch.setattr(LocalRunner, "stop", lambda self, path, grace: stopped.append(path))
    start.launch_queued(job.machine_id)
    assert stopped == [job.run_dir]


def test_a_stop_that_failed_can_be_asked_again(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "stop", base.RunnerError("No answer."))
    job = factories.make_job(user, status=Status.RUNNING, stop_asked_at=timezone.now())
    end.stop_run(job)
    assert job.stop_asked_at is None
    assert job.can_stop
    assert told(job) == [("stop failed", "", "No answer.")]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.RUNNING, "attempt": 2},  # resumed, before the queue gave the task again
        {"status": Status.STOPPED, "stop_asked_at": timezone.now()},
    ],
)
def test_a_stop_that_comes_late_hits_no_other_attempt(
    user: User, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(LocalRunner, "stop", lambda self, path, grace: stopped.append(path))
    end.stop_run(factories.make_job(user, **fields))
    assert stopped == []


@pytest.mark.parametrize(
    ("exit_code", "step", "stop", "status", "reason"),
    [
        (0, 3, False, "completed", "All 3 steps done."),
        (0, 2, False, "failed", "Ended without an error, but at step 2 of 3."),
        (0, 2, True, "stopped", "Stopped on request at step 2 of 3."),
        (137, 2, False, "failed", "Killed by signal 9 at step 2 of 3."),
        (1, 3, False, "failed", "Exit code 1 at step 3 of 3."),
    ],
)
def test_finish(
    user: User, exit_code: int, step: int, stop: bool, status: str, reason: str
) -> None:
    asked = timezone.now() if stop else None
    job = factories.make_job(user, status=Status.RUNNING, step=step, stop_asked_at=asked)
    end.finish(job, exit_code)
    assert (job.status, job.reason, job.exit_code) == (status, reason, exit_code)
    assert told(job) == [(status, "", reason)]
    assert job.ended_at is not None


def test_a_failure_tells_what_the_run_said_last(user: User) -> None:
    job = factories.make_job(user, status=Status.RUNNING, step=2)
    end.finish(job, 1, "ValueError: no such thing")
    assert job.reason == "Exit code 1 at step 2 of 3. ValueError: no such thing"


def test_what_has_ended_does_not_end_again(user: User) -> None:
    job = factories.make_job(user, status=Status.RUNNING, step=3)
    end.finish(job, 0)
    end.lose(job, "Gone.")
    assert (job.status, job.reason) == ("completed", "All 3 steps done.")


def test_an_end_starts_the_next(
    launched: list[base.Launch], user: User, django_capture_on_commit_callbacks: OnCommit
) -> None:
    running, waiting = factories.make_job(user, status=Status.RUNNING), queued(user)
    with django_capture_on_commit_callbacks(execute=True):
        end.lose(running, "Gone.")
    assert taskqueue.work() == [("jobs.tasks.launch_queued", (running.machine_id,))]
    assert status_of(waiting) == Status.RUNNING


@pytest.mark.parametrize(
    ("age", "running", "kicked"), [(9, False, True), (0, False, False), (9, True, False)]
)
def test_a_job_that_waits_for_nothing_is_asked_for_again(
    user: User,
    machine: Machine,
    age: int,
    running: bool,
    kicked: bool,
    django_capture_on_commit_callbacks: OnCommit,
) -> None:
    queued(user, queued_at=timezone.now() - timedelta(seconds=age))
    if running:
        factories.make_job(user, status=Status.RUNNING)
    with django_capture_on_commit_callbacks(execute=True):
        overdue.kick_stuck()
    assert taskqueue.size() == int(kicked)


def test_rename(user: User) -> None:
    job = factories.make_job(user, name="old")
    submit.rename(job, "new", who="ada")
    submit.rename(job, "new", who="ada")
    assert job.name == "new"
    assert told(job) == [("renamed", "ada", "from old")]


def test_origins_name_who_set_a_value(user: User) -> None:
    recipe = all_recipes()["sample-sft"].spec(places())
    spec = TrainSpec("sft", {**recipe.values, "lr": 0.5})
    origins = command.origins(factories.make_job(user, spec=spec.to_json()))
    assert origins["lr"] == "you"
    assert origins["epochs"] == "recipe"
    gone = factories.make_job(user, spec=spec.to_json(), recipe="gone")
    assert command.origins(gone)["epochs"] == "you"


def queued(user: User, **fields: object) -> Job:
    given = {"status": Status.QUEUED, "queued_at": timezone.now()}
    return factories.make_job(user, **given | fields)


def status_of(job: Job) -> str:
    return Job.objects.values_list("status", flat=True).get(pk=job.pk)


def test_the_queue_itself_launches_a_run(
    user: User, trainer: FakeTrainer, django_capture_on_commit_callbacks: OnCommit
) -> None:
    trainer.plan(steps=1)
    with django_capture_on_commit_callbacks(execute=True):
        job = submit.submit(factories.make_order(user), start=True)
    taskqueue.work()
    assert status_of(job) == Status.RUNNING
    assert Path(job.run_dir, "pid").exists()


def test_a_draft_takes_what_was_changed_in_its_form(user: User) -> None:
    order = factories.make_order(user, name="first")
    draft = submit.submit(order, start=False)
    changed = replace(order, name="second", spec=factories.sft_spec(lr=0.5))
    assert submit.submit(changed, start=False).pk == draft.pk
    draft.refresh_from_db()
    assert (draft.name, draft.spec["values"]["lr"]) == ("second", 0.5)


@pytest.mark.backends
@pytest.mark.django_db(transaction=True)
def test_a_started_job_keeps_what_was_started(launched: list[base.Launch], user: User) -> None:
    order = factories.make_order(user, name="first")
    job = submit.submit(order, start=True)
    taskqueue.work()
    script = command.script_of(Job.objects.get(pk=job.pk))
    with pytest.raises(submit.MadeAnother):
        submit.submit(replace(order, name="second"), start=True)
    submit.rename(job, "third", who="ada")
    Machine.objects.update(python="/elsewhere/python")
    assert command.script_of(Job.objects.get(pk=job.pk)) == script
    assert command.command_of(Job.objects.get(pk=job.pk)).argv == launched[0].argv
