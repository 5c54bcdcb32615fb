"""Watching a run: its files are written by hand, so that every moment can be chosen."""

import json
import math
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from compute.machines.runners import runner_for
from compute.runners.base import Alive, Launch, RunnerError, RunnerUnsure
from compute.runners.local.runner import LocalRunner
from jobs.models import Job, Status
from monitoring.models import Cursor, Series
from monitoring.store import points
from monitoring.watch import life, watching_run
from tests import factories
from tests.factories import append_run_file, metrics_line, write_run_file

pytestmark = [pytest.mark.backends, pytest.mark.usefixtures("queue")]


@pytest.fixture(autouse=True)
def looks_at_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "LOOK_AT_PROCESSES", 0.0)


@pytest.fixture
def job(user: User) -> Job:
    """A job that runs, with a fresh heartbeat."""
    job = factories.make_job(user, status=Status.RUNNING, started_at=timezone.now())
    write_run_file(job, "heartbeat", f"{time.time():.3f}\n")
    return job


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Alive]:
    """Answers to give when the processes are looked at; the last one is given for ever."""
    answers = [Alive(wrapper=False, process=False)]

    def alive(self: LocalRunner, attempt_dir: str) -> Alive:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(LocalRunner, "alive", alive)
    return answers


def kinds(job: Job) -> list[str]:
    return [event.kind for event in job.events.all()]


def test_metrics_become_points(job: Job) -> None:
    write_run_file(job, "metrics.jsonl", metrics_line(1, train__loss=0.5, lr=1) + metrics_line(2))
    assert watching_run.watch(job) is True
    assert factories.points_of(job) == {
        ("train/loss", 1): 0.5,
        ("lr", 1): 1.0,
        ("train/loss", 2): 0.5,
    }
    assert job.step == 2
    assert [(s.name, s.last_step, s.last_value) for s in job.series.all()] == [
        ("lr", 1, 1.0),
        ("train/loss", 2, 0.5),
    ]


def test_nothing_new_changes_nothing(job: Job) -> None:
    write_run_file(job, "metrics.jsonl", metrics_line(1))
    watching_run.watch(job)
    revision = job.revision
    assert watching_run.watch(job) is False
    assert job.revision == revision


def test_a_half_written_line_waits_for_its_end(job: Job) -> None:
    whole = metrics_line(1) + metrics_line(2)
    write_run_file(job, "metrics.jsonl", whole[:-10])
    watching_run.watch(job)
    assert job.step == 1
    append_run_file(job, "metrics.jsonl", whole[-10:])
    watching_run.watch(job)
    assert job.step == 2
    assert len(factories.points_of(job)) == 2


def test_any_cut_of_the_file_gives_every_point_once(job: Job) -> None:
    lines = [metrics_line(step, a=step, b=-step) for step in range(1, 41)]
    content, cuts = "".join(lines).encode(), random.Random(7)
    write_run_file(job, "metrics.jsonl", b"")
    position = 0
    while position < len(content):
        end = position + cuts.randint(1, 200)
        append_run_file(job, "metrics.jsonl", content[position:end])
        position = end
        watching_run.watch(job)
    assert factories.points_of(job) == {
        (name, step): float(sign * step)
        for step in range(1, 41)
        for name, sign in (("a", 1), ("b", -1))
    }
    assert job.step == 40


def test_the_same_bytes_again_double_nothing(job: Job) -> None:
    write_run_file(job, "metrics.jsonl", metrics_line(1) + metrics_line(2))
    write_run_file(job, "events.jsonl", '{"at": 1, "kind": "started", "message": "x"}\n')
    write_run_file(job, "system.jsonl", '{"at": 1, "cpu_percent": 5}\n')
    watching_run.watch(job)
    before = factories.points_of(job)
    Cursor.objects.all().delete()
    watching_run.watch(job)
    assert factories.points_of(job) == before
    assert kinds(job) == ["started"]
    assert job.system_samples.count() == 1


def test_values_that_are_no_plain_numbers(job: Job) -> None:
    write_run_file(
        job, "metrics.jsonl", '{"step": 1, "data": {"a": NaN, "b": Infinity, "c": -1e999}}\n'
    )
    watching_run.watch(job)
    found = factories.points_of(job)
    assert math.isnan(found["a", 1])
    assert (found["b", 1], found["c", 1]) == (math.inf, -math.inf)


def test_broken_lines_cost_nothing_else(job: Job) -> None:
    broken = b'{"step": 1\n\xff\xfe\n' + b"[" * 100_000 + b"\n" + b'{"step": 99999999999}\n'
    write_run_file(job, "metrics.jsonl", broken + metrics_line(3).encode())
    watching_run.watch(job)
    assert factories.points_of(job) == {("train/loss", 3): pytest.approx(1 / 3)}


HOSTILE = '"a\\u0000b\\ud800 \\ud83d\\ude82"'


def test_text_that_no_database_holds_stops_no_one(job: Job) -> None:
    """PostgreSQL refuses NUL, UTF-8 lone surrogates, and JSON columns NaN."""
    lines = {
        "metrics.jsonl": '{"step": 1, "data": {HOSTILE: 1}}',
        "events.jsonl": '{"at": 1, "kind": HOSTILE, "message": HOSTILE, "x": NaN}',
        "system.jsonl": '{"at": 1, "cpu_percent": NaN, "n": HOSTILE}',
    }
    for name, line in lines.items():
        write_run_file(job, name, line.replace("HOSTILE", HOSTILE) + "\n")
    write_run_file(job, "train.log", "Total training steps: 99999999999999999999\n")
    watching_run.watch(job)
    assert factories.points_of(job) == {("a\ufffdb\ufffd 🚂", 1): 1.0}
    [event] = job.events.all()
    assert (event.kind, event.message, event.data) == (
        "a\ufffdb\ufffd 🚂",
        "a\ufffdb\ufffd 🚂",
        {"x": None},
    )
    assert job.system_samples.get().data == {"cpu_percent": None}
    assert job.steps == 3


def test_a_later_value_of_a_step_wins(job: Job) -> None:
    write_run_file(job, "metrics.jsonl", metrics_line(1, a=1))
    watching_run.watch(job)
    append_run_file(job, "metrics.jsonl", metrics_line(1, a=2))
    watching_run.watch(job)
    assert factories.points_of(job) == {("a", 1): 2.0}
    assert Series.objects.get(name="a").last_value == 2.0


def test_what_is_read_in_one_go_is_not_limited_by_the_chunk(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_run, "CHUNK", 64)
    lines = "".join(metrics_line(step, a=step) for step in range(1, 101))
    write_run_file(job, "metrics.jsonl", lines + metrics_line(101, **{"x" * 150: 1.0}))
    watching_run.watch(job)
    assert job.step == 101
    assert len(factories.points_of(job)) == 101


def test_the_trainers_own_word_on_its_steps_counts(job: Job) -> None:
    write_run_file(job, "train.log", "INFO: Total training steps: 7\nrest")
    watching_run.watch(job)
    assert job.steps == 7


def test_events_of_the_run(job: Job) -> None:
    line = {"at": 1700000000, "kind": "checkpoint", "message": "step 2 saved", "step": 2}
    write_run_file(job, "events.jsonl", json.dumps(line) + "\n")
    watching_run.watch(job)
    [event] = job.events.all()
    assert (event.kind, event.message, event.source) == ("checkpoint", "step 2 saved", "run")
    assert event.at == datetime.fromtimestamp(1700000000, UTC)
    assert (event.data, event.position) == ({"step": 2}, 0)


def test_samples_of_the_run(job: Job) -> None:
    write_run_file(job, "system.jsonl", '{"at": 1, "cpu_percent": 5, "gpus": []}\n')
    watching_run.watch(job)
    assert job.system_samples.get().data == {"cpu_percent": 5, "gpus": []}


def test_what_a_run_was_made_with_is_kept_for_each_attempt(job: Job) -> None:
    told = '{"at": 5, "part": "software", "data": {"python": "3.11"}}\n'
    write_run_file(job, "provenance.jsonl", told + "{\n" + '{"at": 6, "part": "config", "da')
    watching_run.watch(job)
    append_run_file(job, "provenance.jsonl", 'ta": {"config": {"a\\u0000": 1}}}\n')
    watching_run.watch(job)
    Cursor.objects.all().delete()
    watching_run.watch(job)  # the same bytes again
    kept = job.provenance.values_list("attempt", "part", "data")
    assert sorted(kept, key=str) == [
        (1, "config", {"config": {"a\ufffd": 1}}),
        (1, "software", {"python": "3.11"}),
    ]
    left_out = job.events.filter(kind="lines left out").first()
    assert left_out is not None
    assert "of provenance.jsonl cannot be read: {" in left_out.message


def test_a_line_of_metrics_is_news_of_its_own(job: Job) -> None:
    """It changes the job's points, and nothing that a page must draw again."""
    write_run_file(job, "metrics.jsonl", metrics_line(1))
    watching_run.watch(job)
    seen, revision = points.position([job])[job.pk], job.revision
    append_run_file(job, "metrics.jsonl", metrics_line(2))
    assert watching_run.watch(job) is True
    new = points.since(job, seen).points["train/loss"]
    assert (new.steps.tolist(), job.revision) == ([2], revision)


def test_the_pace_is_taken_from_the_file(job: Job) -> None:
    write_run_file(job, "metrics.jsonl", metrics_line(2))
    watching_run.watch(job)
    assert job.anchor_step == 2
    assert job.step_at == job.anchor_at
    assert abs((timezone.now() - job.step_at).total_seconds()) < 60 if job.step_at else False


@pytest.mark.parametrize(
    ("steps", "code", "status", "reason"),
    [
        (3, 0, "completed", "All 3 steps done."),
        (2, 0, "failed", "Ended without an error, but at step 2 of 3."),
        (0, 0, "failed", "Ended without an error, but at step 0 of 3."),
        (3, 1, "failed", "Exit code 1 at step 3 of 3."),
        (2, 137, "failed", "Killed by signal 9 at step 2 of 3."),
    ],
)
def test_the_verdict(job: Job, steps: int, code: int, status: str, reason: str) -> None:
    write_run_file(job, "metrics.jsonl", "".join(map(metrics_line, range(1, steps + 1))))
    write_run_file(job, "exit_code", f"{code}\n")
    watching_run.watch(job)
    assert (job.status, job.exit_code) == (status, code)
    assert job.reason.startswith(reason)
    assert kinds(job) == [status]


def test_a_failure_quotes_the_error(job: Job) -> None:
    write_run_file(job, "train.log", "Traceback (most recent call last):\nValueError: no such\n")
    write_run_file(job, "exit_code", "1\n")
    watching_run.watch(job)
    assert job.reason == "Exit code 1 at step 0 of 3. ValueError: no such"


def test_a_failure_of_the_users_own_code_is_found_again_in_the_log(job: Job) -> None:
    log = (
        "Traceback (most recent call last):\n"
        '  File "/home/ada/reward.py", line 3, in score\n'
        "AssertionError\n"
        "RuntimeError: printed later\n"
    )
    before = "x\n" * (watching_run.LOG_END // 2)
    write_run_file(job, "train.log", before + log)
    write_run_file(job, "exit_code", "1\n")
    watching_run.watch(job)
    said = "AssertionError (reward.py, line 3, in score)."
    assert job.reason == f"Exit code 1 at step 0 of 3. {said}"
    told = job.events.get(kind="own error")
    assert told.message == said
    assert told.data == {"line": (before + log).index("AssertionError")}


def test_all_that_was_written_before_the_end_is_read(job: Job) -> None:
    write_run_file(job, "metrics.jsonl", "".join(map(metrics_line, range(1, 4))))
    write_run_file(job, "exit_code", "0\n")
    watching_run.watch(job)
    assert job.status == Status.COMPLETED
    assert len(factories.points_of(job)) == 3


@pytest.mark.parametrize("content", ["", "   \n", "x"])
def test_an_exit_code_that_cannot_be_read_is_no_verdict(job: Job, content: str) -> None:
    write_run_file(job, "exit_code", content)
    watching_run.watch(job)
    assert job.status == Status.RUNNING


def silent(job: Job, seconds: float = 16) -> None:
    write_run_file(job, "heartbeat", f"{time.time() - seconds:.3f}\n")


def test_no_heartbeat_and_no_process_is_lost(job: Job, looks: list[Alive]) -> None:
    write_run_file(job, "metrics.jsonl", "".join(map(metrics_line, range(1, 4))))
    silent(job)
    watching_run.watch(job)
    assert job.status == Status.LOST
    assert job.reason == (
        "Its processes are gone and left no exit code. The last step seen is 3 of 3."
    )
    assert job.exit_code is None
    assert kinds(job) == ["lost"]


@pytest.mark.parametrize("seconds", [3600, -3600])
@pytest.mark.parametrize("lives", [False, True])
def test_a_clock_that_jumped_neither_loses_a_run_nor_hides_that_it_is_gone(
    job: Job, looks: list[Alive], seconds: float, lives: bool
) -> None:
    looks[:] = [Alive(wrapper=lives, process=lives)]
    silent(job, seconds)
    watching_run.watch(job)
    assert job.status == (Status.RUNNING if lives else Status.LOST)
    if lives:  # its wrapper writes the next beat by the clock as it is now
        silent(job, 1)
        watching_run.watch(job)
        assert (job.status, job.silent_since) == (Status.RUNNING, None)


def test_no_heartbeat_but_a_process_runs_on(job: Job, looks: list[Alive]) -> None:
    looks[:] = [Alive(wrapper=False, process=True)]
    silent(job)
    watching_run.watch(job)
    assert job.status == Status.RUNNING


def test_a_fresh_heartbeat_needs_no_look(job: Job, looks: list[Alive]) -> None:
    silent(job, 10)
    watching_run.watch(job)
    assert job.status == Status.RUNNING


def test_a_verdict_that_came_meanwhile_is_not_lost(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alive(self: LocalRunner, attempt_dir: str) -> Alive:
        Path(attempt_dir, "exit_code").write_text("0\n")
        return Alive(wrapper=False, process=False)

    monkeypatch.setattr(LocalRunner, "alive", alive)
    write_run_file(job, "metrics.jsonl", "".join(map(metrics_line, range(1, 4))))
    silent(job)
    watching_run.watch(job)
    assert job.status == Status.RUNNING
    watching_run.watch(job)
    assert job.status == Status.COMPLETED


def test_a_machine_that_does_not_answer_loses_nothing(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alive(self: LocalRunner, attempt_dir: str) -> Alive:
        raise RunnerUnsure("alive gave no answer.")

    monkeypatch.setattr(LocalRunner, "alive", alive)
    silent(job)
    with pytest.raises(RunnerUnsure):
        watching_run.watch(job)
    job.refresh_from_db()
    assert job.status == Status.RUNNING


def test_a_start_that_was_unsure_is_seen_by_its_heartbeat(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(status=Status.STARTING)
    job.refresh_from_db()
    watching_run.watch(job)
    assert job.status == Status.RUNNING


@pytest.mark.parametrize(
    ("age", "alive", "status"),
    [
        (119, Alive(wrapper=False, process=False), "starting"),
        (121, Alive(wrapper=True, process=False), "starting"),
        (121, Alive(wrapper=False, process=True), "starting"),
        (121, Alive(wrapper=False, process=False), "lost"),
    ],
)
def test_a_start_without_a_sign_of_life(
    user: User, looks: list[Alive], age: int, alive: Alive, status: str
) -> None:
    looks[:] = [alive]
    started = timezone.now() - timedelta(seconds=age)
    job = factories.make_job(user, status=Status.STARTING, started_at=started)
    write_run_file(job, "lock", "")  # a wrapper was there
    watching_run.watch(job)
    assert job.status == status
    if status == "lost":
        assert job.reason == (
            "It never gave a sign of life after it was started. The last step seen is 0 of 3."
        )


def test_a_start_that_was_cut_off_before_anything_began_is_in_line_again(
    user: User, looks: list[Alive]
) -> None:
    """What was to start it and comes late after all finds the attempt barred."""
    started = timezone.now() - timedelta(seconds=121)
    job = factories.make_job(user, status=Status.STARTING, started_at=started)
    first = job.run_dir
    for attempt in range(2, 7):
        watching_run.watch(job)
        assert (job.status, job.attempt, job.started_at) == (Status.QUEUED, attempt, None)
        Job.objects.filter(pk=job.pk).update(status=Status.STARTING, started_at=started)
        job.refresh_from_db()
    with pytest.raises(RunnerError, match="was started already"):
        runner_for(job.machine).launch(Launch(first, ("true",), {}))
    watching_run.watch(job)
    assert job.status == Status.LOST
    assert job.reason.startswith("Its start was cut off again and again")


def test_a_stop_of_a_start_that_was_cut_off_is_kept(user: User, looks: list[Alive]) -> None:
    started = timezone.now() - timedelta(seconds=121)
    fields = {"started_at": started, "stop_asked_at": started}
    job = factories.make_job(user, status=Status.STARTING, **fields)
    watching_run.watch(job)
    assert (job.status, job.reason) == (Status.STOPPED, "Stopped before it started.")


def test_a_run_over_before_it_was_seen_running(user: User) -> None:
    job = factories.make_job(user, status=Status.STARTING, started_at=timezone.now())
    write_run_file(job, "metrics.jsonl", "".join(map(metrics_line, range(1, 4))))
    write_run_file(job, "exit_code", "0\n")
    watching_run.watch(job)
    assert job.status == Status.COMPLETED


def test_an_attempt_has_cursors_of_its_own(job: Job) -> None:
    write_run_file(job, "metrics.jsonl", metrics_line(1))
    watching_run.watch(job)
    Job.objects.filter(pk=job.pk).update(attempt=2)
    job.refresh_from_db()
    write_run_file(job, "heartbeat", f"{time.time()}\n")
    write_run_file(job, "metrics.jsonl", metrics_line(2))
    watching_run.watch(job)
    assert sorted(factories.points_of(job)) == [("train/loss", 1), ("train/loss", 2)]
    cursors = Cursor.objects.filter(job=job, file="metrics.jsonl").order_by("attempt")
    assert [(cursor.attempt, cursor.offset) for cursor in cursors] == [
        (1, len(metrics_line(1))),
        (2, len(metrics_line(2))),
    ]


@pytest.mark.parametrize(
    ("told", "steps"),
    [([9], 9), ([9, 12], 12), ([9, "x"], 9), ([True], 3), ([0], 3), ([-4], 3), ([2**40], 3)],
)
def test_a_run_says_itself_how_much_it_will_do(job: Job, told: list[object], steps: int) -> None:
    lines = [{"at": 1.0, "kind": "planned", "message": "so much", "steps": each} for each in told]
    write_run_file(job, "events.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    watching_run.watch(job)
    assert job.steps == steps
