"""Pause, save, resume, retry: requests are kept, checkpoints chosen, attempts counted."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks as OnCommit

from compute.machines.runners import runner_for
from compute.runners.base import Examined, Launch, RunnerError, RunnerUnsure, Unreachable
from compute.runners.local.runner import LocalRunner
from jobs import checkpoints, resuming
from jobs.artifacts.story import known_of
from jobs.launch import command
from jobs.launch import end as ends
from jobs.launch import start as starts
from jobs.models import Event, Job, Status
from tests import factories, taskqueue
from tests.waiting import together

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]


@pytest.fixture
def job(user: User) -> Job:
    began = timezone.now() - timedelta(minutes=10)
    return factories.make_job(user, status=Status.RUNNING, started_at=began, step=30, steps=40)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    found: list[Launch] = []
    monkeypatch.setattr(LocalRunner, "launch", lambda self, launch: found.append(launch))
    return found


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Steps whose checkpoint is broken; all others are whole."""
    steps: set[int] = set()

    def examine(self: LocalRunner, folder: str) -> Examined:
        step = int(folder.rpartition("_")[2])
        return Examined(step, 1, ("Its model file is cut short.",) if step in steps else ())

    monkeypatch.setattr(LocalRunner, "examine", examine)
    return steps


def save(job: Job, attempt: int, *steps: int) -> None:
    folder = Path(job.machine.attempt_dir(job.uuid, attempt), "checkpoints")
    for step in steps:
        (folder / f"global_step_{step}").mkdir(parents=True)
        (folder / f"global_step_{step}/model_world_size_1_rank_0.pt").write_bytes(b"x")
    (folder / "latest_checkpointed_iteration.txt").write_text(str(max(steps)))


def start(job: Job) -> None:
    """As the workers do it, in this process."""
    claimed = starts.claim_next(job.machine_id)
    assert claimed == job
    starts.launch(claimed)


def kinds(job: Job) -> list[str]:
    return list(job.events.values_list("kind", flat=True))


def told(job: Job, kind: str) -> str:
    return job.events.filter(kind=kind).latest("pk").message


def end(job: Job, status: Status = Status.PAUSED) -> None:
    Job.objects.filter(pk=job.pk).update(status=status, ended_at=timezone.now())
    job.refresh_from_db()


def test_a_pause_is_left_in_the_run_directory(
    job: Job, django_capture_on_commit_callbacks: OnCommit
) -> None:
    Path(job.run_dir).mkdir(parents=True)
    with django_capture_on_commit_callbacks(execute=True):
        assert resuming.pause(job, who="ada") is True
    assert job.status == Status.RUNNING  # until the run says that it has paused
    assert job.pause_asked_at is not None
    assert taskqueue.work() == [("jobs.tasks.ask_to_pause", (job.pk,))]
    assert Path(job.run_dir, "control/pause").exists()
    assert resuming.pause(job, who="ada") is False
    assert kinds(job) == ["pause asked"]


@pytest.mark.django_db(transaction=True)
def test_of_many_tabs_one_asks() -> None:
    job = factories.make_job(status=Status.RUNNING, started_at=timezone.now())
    answers: list[bool] = []
    together(lambda: answers.append(resuming.pause(Job.objects.get(pk=job.pk), who="ada")), 6)
    assert sorted(answers) == [False] * 5 + [True]
    assert kinds(job) == ["pause asked"]


def test_a_request_that_cannot_be_left_is_told_and_may_be_made_again(job: Job) -> None:
    resuming.pause(job, who="ada")
    resuming.ask_run(job, "pause")  # there is no run directory
    job.refresh_from_db()
    assert job.pause_asked_at is None
    assert told(job, "pause failed").startswith("The run could not be asked to pause:")
    assert job.can_pause


@pytest.mark.parametrize("status", [s for s in Status if s != Status.RUNNING])
def test_only_what_runs_can_be_paused_or_saved(user: User, status: Status) -> None:
    job = factories.make_job(user, status=status)
    assert resuming.pause(job, who="ada") is False
    assert resuming.save_now(job, who="ada") is False
    assert kinds(job) == []


def test_saving_goes_on(job: Job, django_capture_on_commit_callbacks: OnCommit) -> None:
    Path(job.run_dir).mkdir(parents=True)
    with django_capture_on_commit_callbacks(execute=True):
        assert resuming.save_now(job, who="ada") is True
    taskqueue.work()
    assert Path(job.run_dir, "control/save").exists()
    assert (job.status, job.pause_asked_at) == (Status.RUNNING, None)


def test_what_the_run_says_makes_it_paused(job: Job) -> None:
    said = {"kind": "paused", "source": Event.Source.RUN, "at": timezone.now(), "position": 1}
    job.events.create(**said, data={"step": 30})
    ends.finish(job, 0)
    assert (job.status, job.reason) == (
        Status.PAUSED,
        "Paused after step 30, whose checkpoint is saved.",
    )
    assert (job.can_resume, job.can_stop, job.has_ended) == (True, True, False)


def test_what_an_earlier_attempt_said_does_not_count(job: Job) -> None:
    said = {"kind": "paused", "source": Event.Source.RUN, "at": timezone.now(), "position": 1}
    job.events.create(**said, data={"step": 30}, attempt=1)
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.refresh_from_db()
    ends.finish(job, 0)
    assert job.status == Status.FAILED


def test_a_resume_is_a_new_attempt_from_the_newest_checkpoint(
    job: Job, launched: list[Launch], broken: set[int]
) -> None:
    save(job, 1, 10, 20)
    end(job)
    assert resuming.resume(job, who="ada") is True
    assert (job.status, job.attempt, job.command, job.started_at) == (Status.QUEUED, 2, None, None)
    assert job.seconds_before == pytest.approx(600, abs=5)
    start(job)
    [launch] = launched
    first = job.machine.attempt_dir(job.uuid, 1)
    assert launch.attempt_dir == job.machine.attempt_dir(job.uuid, 2)
    assert "trainer.resume_mode=resume_path" in launch.argv
    assert f"trainer.resume_from_path={first}/checkpoints/global_step_20" in launch.argv
    job.refresh_from_db()
    assert (job.step, job.resume_step) == (20, 20)
    assert told(job, "resumed") == "Goes on from the checkpoint of step 20."
    assert job.events.get(kind="resumed").attempt == 2


def test_a_first_attempt_resumes_nothing(job: Job) -> None:
    argv = command.command_of(job).argv
    assert not any(part.startswith("trainer.resume") for part in argv)


def test_a_broken_newest_checkpoint_is_refused_for_the_one_before(
    job: Job, launched: list[Launch], broken: set[int]
) -> None:
    save(job, 1, 10, 20)
    broken.add(20)
    end(job)
    resuming.resume(job, who="ada")
    start(job)
    job.refresh_from_db()
    assert (job.status, job.resume_step) == (Status.RUNNING, 10)
    assert told(job, "checkpoint refused") == (
        "The checkpoint of step 20 cannot be gone on from: Its model file is cut short."
    )


def test_when_all_are_broken_nothing_starts(
    job: Job, launched: list[Launch], broken: set[int]
) -> None:
    save(job, 1, 10, 20)
    broken |= {10, 20}
    end(job)
    resuming.resume(job, who="ada")
    start(job)
    job.refresh_from_db()
    assert launched == []
    assert job.status == Status.FAILED
    assert "step 20" in job.reason
    assert "step 10" in job.reason


def test_a_step_can_be_picked_and_must_be_there(
    job: Job, launched: list[Launch], broken: set[int]
) -> None:
    save(job, 1, 10, 20)
    end(job)
    resuming.resume(job, who="ada", step=10)
    start(job)
    job.refresh_from_db()
    assert job.resume_step == 10
    end(job, Status.FAILED)
    resuming.resume(job, who="ada", step=15)
    start(job)
    job.refresh_from_db()
    assert job.status == Status.FAILED
    assert job.reason.endswith("There is no checkpoint of step 15 any more.")
    assert len(launched) == 1


def test_without_a_checkpoint_it_begins_anew(job: Job, launched: list[Launch]) -> None:
    end(job, Status.LOST)
    resuming.resume(job, who="ada")
    start(job)
    job.refresh_from_db()
    assert (job.step, job.resume_from) == (0, "")
    assert told(job, "resumed") == "Goes on anew: no checkpoint was saved."
    assert len(launched) == 1


def test_what_an_attempt_left_behind_it_is_another_story(job: Job, broken: set[int]) -> None:
    save(job, 1, 10, 20, 30)
    save(job, 2, 15)
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.refresh_from_db()
    job.events.create(kind="resumed", at=timezone.now(), attempt=2, data={"step": 10})
    checkpoints.list_checkpoints(job)
    found = [(saved.attempt, saved.step) for saved in known_of(job)]
    assert found == [(2, 15), (1, 10)]
    chosen = checkpoints.choose(job, runner_for(job.machine), None).saved
    assert chosen is not None
    assert chosen.step == 15


@pytest.mark.parametrize("status", [Status.DRAFT, Status.QUEUED, Status.RUNNING, Status.COMPLETED])
def test_only_what_ended_early_goes_on(user: User, status: Status) -> None:
    job = factories.make_job(user, status=status, started_at=timezone.now())
    assert resuming.resume(job, who="ada") is False
    assert (job.status, job.attempt) == (status, 1)


def test_of_two_that_resume_one_wins(job: Job) -> None:
    end(job)
    other = Job.objects.get(pk=job.pk)
    assert resuming.resume(job, who="ada") is True
    assert resuming.resume(other, who="bob") is False
    assert job.attempt == 2


def test_a_paused_job_is_stopped_at_once(job: Job) -> None:
    end(job)
    assert ends.stop(job, who="ada") is True
    assert (job.status, job.reason) == (
        Status.STOPPED,
        "Stopped while it was paused after step 30.",
    )


def crash(job: Job, error: str, exit_code: int = 1) -> None:
    ends.finish(job, exit_code, error)


def retry(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(retry_at=timezone.now() - timedelta(seconds=1))
    resuming.retry_due()
    job.refresh_from_db()


def test_a_crash_goes_on_by_itself_until_it_repeats(
    job: Job, launched: list[Launch], broken: set[int]
) -> None:
    Job.objects.filter(pk=job.pk).update(retries=3)
    job.refresh_from_db()
    save(job, 1, 20)
    crash(job, "RuntimeError: CUDA error")
    assert job.status == Status.FAILED
    assert job.reason.endswith("Goes on by itself in 30 s: retry 1 of 3.")
    resuming.retry_due()
    job.refresh_from_db()
    assert job.status == Status.FAILED  # its wait is not over
    retry(job)
    assert (job.status, job.attempt, job.retried) == (Status.QUEUED, 2, 1)
    start(job)
    Job.objects.filter(pk=job.pk).update(step=30)
    job.refresh_from_db()
    crash(job, "RuntimeError: CUDA error")
    assert job.retry_at is None
    assert "the same error at step 30 as before" in job.reason


def test_a_stopped_run_is_not_tried_again(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(retries=3, stop_asked_at=timezone.now())
    job.refresh_from_db()
    ends.lose(job, "Gone.")
    assert (job.status, job.retry_at) == (Status.LOST, None)


def test_a_lost_run_is_tried_again(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(retries=1)
    job.refresh_from_db()
    ends.lose(job, "Its processes are gone.")
    assert job.retry_at is not None
    retry(job)
    assert job.status == Status.QUEUED


def test_requests_are_left_again_only_after_a_while(job: Job) -> None:
    resuming.pause(job, who="ada")
    taskqueue.clear()
    resuming.ask_again()
    assert taskqueue.take_all() == []


def test_an_unreadable_machine_is_told_by_choose(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(self: LocalRunner, path: str, offset: int, limit: int) -> bytes:
        raise RunnerError("It cannot be read.")

    monkeypatch.setattr(LocalRunner, "read", unreadable)
    end(job)
    resuming.resume(job, who="ada")
    start(job)
    job.refresh_from_db()
    assert job.reason == "It could not be started. It cannot be read."


def test_a_resume_that_was_stopped_before_it_started_can_be_asked_again(job: Job) -> None:
    end(job)
    resuming.resume(job, who="ada")
    assert ends.stop(job, who="ada") is True
    assert job.status == Status.STOPPED
    assert job.can_resume
    assert resuming.resume(job, who="ada") is True
    assert job.attempt == 3


def test_a_stop_while_it_is_made_ready_starts_nothing(
    job: Job, launched: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    end(job)
    resuming.resume(job, who="ada")

    def slow(self: LocalRunner, folder: str) -> Examined:
        ends.stop(Job.objects.get(pk=job.pk), who="bob")
        return Examined(20, 1, ())

    monkeypatch.setattr(LocalRunner, "examine", slow)
    save(job, 1, 20)
    start(job)
    job.refresh_from_db()
    assert launched == []
    assert (job.status, job.reason) == (Status.STOPPED, "Stopped before it started.")


def test_a_job_that_was_given_up_meanwhile_is_not_started(
    job: Job, launched: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    end(job)
    resuming.resume(job, who="ada")

    def slow(self: LocalRunner, folder: str) -> Examined:
        ends.lose(Job.objects.get(pk=job.pk), "It never gave a sign of life.")
        return Examined(20, 1, ())

    monkeypatch.setattr(LocalRunner, "examine", slow)
    save(job, 1, 20)
    start(job)
    job.refresh_from_db()
    assert launched == []
    assert job.status == Status.LOST


def test_who_saw_an_earlier_attempt_moves_nothing(job: Job) -> None:
    stale = Job.objects.get(pk=job.pk)
    Job.objects.filter(pk=job.pk).update(attempt=2)
    ends.finish(stale, 1)
    job.refresh_from_db()
    assert (job.status, job.attempt) == (Status.RUNNING, 2)


def test_what_runs_by_now_is_not_lost(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(status=Status.STARTING)
    stale = Job.objects.get(pk=job.pk)
    Job.objects.filter(pk=job.pk).update(status=Status.RUNNING)
    ends.lose(stale, "It never gave a sign of life after it was started.")
    job.refresh_from_db()
    assert job.status == Status.RUNNING


TRACKER = "checkpoints/latest_checkpointed_iteration.txt"


@pytest.mark.parametrize("content", [None, "", " \n", "x", "10"])
def test_whole_checkpoints_are_used_whatever_the_small_file_says(
    job: Job, launched: list[Launch], broken: set[int], content: str | None
) -> None:
    save(job, 1, 10, 20)
    tracker = Path(job.run_dir, TRACKER)
    tracker.unlink() if content is None else tracker.write_text(content)
    end(job, Status.FAILED)
    resuming.resume(job, who="ada")
    start(job)
    job.refresh_from_db()
    assert (job.status, job.resume_step) == (Status.RUNNING, 20)
    assert told(job, "resumed") == "Goes on from the checkpoint of step 20."
    assert "checkpoint refused" not in kinds(job)


def test_without_the_small_file_a_broken_one_is_passed_over(
    job: Job, launched: list[Launch], broken: set[int]
) -> None:
    save(job, 1, 10, 20)
    Path(job.run_dir, TRACKER).unlink()
    broken.add(20)
    end(job, Status.FAILED)
    resuming.resume(job, who="ada")
    start(job)
    job.refresh_from_db()
    assert (job.status, job.resume_step) == (Status.RUNNING, 10)
    assert told(job, "checkpoint refused").endswith("Its model file is cut short.")


def test_if_none_can_be_used_a_person_is_asked(
    job: Job, launched: list[Launch], broken: set[int]
) -> None:
    save(job, 1, 10, 20)
    Path(job.run_dir, TRACKER).unlink()
    broken |= {10, 20}
    end(job, Status.FAILED)
    resuming.resume(job, who="ada")
    start(job)
    job.refresh_from_db()
    assert launched == []
    assert job.status == Status.FAILED
    assert job.reason.endswith("Resume it from another checkpoint, or from the beginning.")
    resuming.resume(job, who="ada", step=0)
    start(job)
    job.refresh_from_db()
    assert (job.status, job.resume_from, job.step) == (Status.RUNNING, "", 0)
    assert told(job, "resumed") == "Goes on anew: no checkpoint is used."


def test_a_first_save_that_was_cut_off_is_no_obstacle(
    job: Job, launched: list[Launch], broken: set[int]
) -> None:
    save(job, 1, 20)
    Path(job.run_dir, TRACKER).unlink()
    broken.add(20)
    end(job, Status.FAILED)
    resuming.resume(job, who="ada")
    start(job)
    job.refresh_from_db()
    assert (job.status, job.resume_from) == (Status.RUNNING, "")
    assert told(job, "checkpoint refused").endswith("Its model file is cut short.")
    assert told(job, "resumed") == "Goes on anew: no checkpoint is used."


def test_what_nobody_writes_any_more_is_looked_into_when_it_is_listed(
    job: Job, broken: set[int]
) -> None:
    save(job, 1, 10, 20)
    Path(job.run_dir, TRACKER).unlink()
    broken.add(20)
    checkpoints.list_checkpoints(job)
    assert [saved.artifact.is_unfinished for saved in known_of(job)] == [True, True]
    checkpoints.list_checkpoints(job, is_over=True)
    checkpoints.list_checkpoints(job)  # what was found stays
    found = {saved.step: saved.artifact for saved in known_of(job)}
    assert (found[10].is_whole, found[10].fault) == (True, "")
    assert (found[20].is_whole, found[20].fault) == (False, "Its model file is cut short.")


def test_a_retry_that_waits_can_be_cancelled(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(retries=3)
    job.refresh_from_db()
    crash(job, "RuntimeError: CUDA error")
    assert job.can_stop
    assert ends.stop(job, who="ada") is True
    assert (job.status, job.retry_at, job.can_stop) == (Status.FAILED, None, False)
    retry_time = timezone.now() + timedelta(hours=1)
    assert not Job.objects.filter(retry_at__lt=retry_time).exists()


def test_a_job_after_one_that_will_be_tried_again_waits(job: Job, user: User) -> None:
    Job.objects.filter(pk=job.pk).update(retries=1)
    job.refresh_from_db()
    crash(job, "RuntimeError: CUDA error")
    asked = {"status": Status.QUEUED, "queued_at": timezone.now(), "after": job}
    plain = factories.make_job(user, **asked)
    trained = factories.make_job(user, **asked)
    trained.inputs.create(source=job, role="model")
    assert starts.claim_next(job.machine_id) is None
    trained.refresh_from_db()
    assert trained.status == Status.QUEUED
    ends.stop(job, who="ada")
    assert starts.claim_next(job.machine_id) == plain
    trained.refresh_from_db()
    assert trained.status == Status.FAILED


@pytest.mark.parametrize("error", [Unreachable("gone"), RunnerUnsure("no answer")])
def test_a_request_whose_answer_was_lost_stands(
    job: Job, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def lost(self: LocalRunner, *args: object) -> None:
        raise error

    monkeypatch.setattr(LocalRunner, "stop", lost)
    monkeypatch.setattr(LocalRunner, "ask", lost)
    resuming.pause(job, who="ada")
    ends.stop(job, who="ada")
    for _ in range(2):
        resuming.ask_run(job, "pause")
        ends.stop_run(job)
    job.refresh_from_db()
    assert job.pause_asked_at is not None
    assert job.stop_asked_at is not None
    assert kinds(job).count("stop unanswered") == kinds(job).count("pause unanswered") == 1


def test_a_crash_while_it_pauses_is_not_tried_again(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(retries=3)
    job.refresh_from_db()
    resuming.pause(job, who="ada")
    crash(job, "RuntimeError: CUDA out of memory")
    assert (job.status, job.retry_at) == (Status.FAILED, None)


def test_an_error_that_nobody_expected_ends_the_start(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(self: LocalRunner, path: str, offset: int, limit: int) -> bytes:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(LocalRunner, "read", odd)
    end(job)
    resuming.resume(job, who="ada")
    start(job)
    job.refresh_from_db()
    assert job.status == Status.FAILED
    assert "did not expect" in job.reason


def test_a_resume_whose_launcher_died_is_told_by_whoever_sees_the_run(user: User) -> None:
    fields = {"status": Status.STARTING, "attempt": 2, "resume_step": 20, "steps": 40}
    job = factories.make_job(user, started_at=timezone.now(), **fields)
    starts.started(job)
    starts.started(job)
    assert kinds(job) == ["resumed", "running"]
    assert job.events.get(kind="resumed").data == {"step": 20}
    over = factories.make_job(user, started_at=timezone.now(), **fields, step=40)
    ends.finish(over, 0)
    assert kinds(over) == ["resumed", "completed"]
