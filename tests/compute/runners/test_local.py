"""The local runner with the node's real commands and a trainer that is a fake."""

import json
import signal
from pathlib import Path

import psutil
import pytest

from compute.runners.base import Alive, FileFact, Launch, RunnerError, RunnerUnsure
from compute.runners.local import LocalRunner
from tests.fakes import FakeTrainer
from tests.waiting import eventually

HOSTILE_NAMES = ["x'; touch pwned #", "../../up", "$(touch pwned)", "-rf", "größe 🚂"]


@pytest.fixture
def runner(trainer: FakeTrainer, home: Path) -> LocalRunner:
    return LocalRunner(trainer.python, str(home))


@pytest.fixture
def attempt(home: Path) -> Path:
    return home / "runs/1/attempt-1"


def launch(runner: LocalRunner, attempt: Path, *words: str) -> None:
    argv = (runner.python, "-m", "verl.trainer.main_ppo", *words)
    env = {"VERL_FILE_LOGGER_PATH": f"{attempt}/metrics.jsonl", "PYTHONUNBUFFERED": "1"}
    runner.launch(Launch(str(attempt), argv, env))


def exit_code(attempt: Path) -> int:
    path = attempt / "exit_code"
    eventually(path.exists, what="an exit code")
    return int(path.read_text())


def pid_of(path: Path) -> int:
    text = eventually(lambda: path.read_text() if path.exists() else "", what=str(path))
    return int(text)


def test_a_whole_run(runner: LocalRunner, attempt: Path, trainer: FakeTrainer) -> None:
    trainer.plan(steps=3)
    launch(runner, attempt, "data.seed=1")
    assert exit_code(attempt) == 0
    lines = [json.loads(line) for line in (attempt / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert (attempt / "train.log").read_text().startswith("Total training steps: 3\nstep:1 - ")
    events = [json.loads(line)["kind"] for line in (attempt / "events.jsonl").open()]
    assert events == ["started", "exited"]
    assert json.loads((attempt / "pid").read_text())["process"]["pid"] > 1
    assert float((attempt / "heartbeat").read_text()) > 1.7e9
    assert runner.alive(str(attempt)) == Alive(wrapper=False, process=False)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_arrives_as_written_and_harms_nothing(
    runner: LocalRunner, attempt: Path, home: Path, name: str
) -> None:
    launch(runner, attempt, f"trainer.experiment_name={name}")
    assert exit_code(attempt) == 0
    words = json.loads((attempt / "argv.json").read_text())
    assert words[-1] == f"trainer.experiment_name={name}"
    assert list(home.rglob("pwned*")) == []
    assert sorted(path.name for path in home.iterdir()) == ["runs", "static"]


def test_a_crash_leaves_its_exit_code_and_its_words(
    runner: LocalRunner, attempt: Path, trainer: FakeTrainer
) -> None:
    trainer.plan(steps=3, crash_at=2)
    launch(runner, attempt)
    assert exit_code(attempt) == 1
    assert "RuntimeError: CUDA out of memory" in (attempt / "train.log").read_text()


def test_a_second_launch_in_the_same_directory_is_refused(
    runner: LocalRunner, attempt: Path, trainer: FakeTrainer
) -> None:
    trainer.plan(steps=1, gated=True)
    launch(runner, attempt)
    eventually((attempt / "argv.json").exists)
    with pytest.raises(RunnerError, match="was started already; an attempt runs once"):
        launch(runner, attempt)
    trainer.go(1)
    assert exit_code(attempt) == 0
    assert (attempt / "metrics.jsonl").read_text().count("\n") == 1


def test_stop_ends_a_grandchild_that_ignores_sigterm_too(
    runner: LocalRunner, attempt: Path, trainer: FakeTrainer
) -> None:
    trainer.plan(steps=1, gated=True, grandchild=True)
    launch(runner, attempt)
    grandchild = psutil.Process(pid_of(attempt / "grandchild"))
    assert runner.alive(str(attempt)) == Alive(wrapper=True, process=True)
    runner.stop(str(attempt), grace=0)
    assert exit_code(attempt) == 143
    assert not lives(grandchild)
    assert runner.alive(str(attempt)) == Alive(wrapper=False, process=False)


def test_stop_kills_a_trainer_that_ignores_sigterm(
    runner: LocalRunner, attempt: Path, trainer: FakeTrainer
) -> None:
    trainer.plan(steps=1, gated=True, stubborn=True)
    launch(runner, attempt)
    eventually((attempt / "train.log").read_text)
    runner.stop(str(attempt), grace=0)
    assert exit_code(attempt) == 137


def test_stop_ends_a_run_whose_wrapper_is_dead(
    runner: LocalRunner, attempt: Path, trainer: FakeTrainer
) -> None:
    trainer.plan(steps=1, gated=True)
    launch(runner, attempt)
    record = json.loads((attempt / "pid").read_text())
    process = psutil.Process(record["process"]["pid"])
    psutil.Process(record["wrapper"]["pid"]).send_signal(signal.SIGKILL)
    eventually(lambda: runner.alive(str(attempt)) == Alive(wrapper=False, process=True))
    runner.stop(str(attempt), grace=0)
    assert not lives(process)
    assert not (attempt / "exit_code").exists()


def test_stop_never_hits_a_recycled_pid(
    runner: LocalRunner, attempt: Path, trainer: FakeTrainer
) -> None:
    trainer.plan(steps=1, gated=True)
    launch(runner, attempt)
    record = json.loads((attempt / "pid").read_text())
    bystander = psutil.Process(record["process"]["pid"])
    other = attempt.with_name("attempt-2")
    other.mkdir()
    for part in ("wrapper", "process"):
        record[part]["started"] -= 1
    (other / "pid").write_text(json.dumps({**record, "mark": "none"}))
    assert runner.alive(str(other)) == Alive(wrapper=False, process=False)
    runner.stop(str(other), grace=0)
    assert lives(bystander)


def test_stop_where_nothing_runs_is_no_error(runner: LocalRunner, attempt: Path) -> None:
    attempt.mkdir(parents=True)
    runner.stop(str(attempt), grace=0)
    assert list(attempt.iterdir()) == []


def test_no_python(attempt: Path, home: Path) -> None:
    runner = LocalRunner("/nowhere/python", str(home))
    with pytest.raises(RunnerError, match=r"There is no Python at /nowhere/python\. Run make"):
        launch(runner, attempt)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo one >&2; echo two >&2; exit 3", "two"),
        ("exit 3", r"stop ended with 3\."),
        ("echo ' ' >&2; exit 3", r"stop ended with 3\."),
    ],
)
def test_a_node_that_fails_is_quoted(tmp_path: Path, home: Path, script: str, words: str) -> None:
    with pytest.raises(RunnerError, match=words):
        LocalRunner(fake_python(tmp_path, script), str(home)).stop(str(home), 1)


@pytest.mark.parametrize("answer", ["", "not JSON", "[]", '{"wrapper": true}'])
def test_an_answer_that_cannot_be_read_is_an_error(tmp_path: Path, home: Path, answer: str) -> None:
    runner = LocalRunner(fake_python(tmp_path, f"echo '{answer}'"), str(home))
    with pytest.raises(RunnerError):
        runner.alive(str(home))


def test_a_node_that_is_silent_leaves_the_runner_unsure(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute.runners.local.ANSWERS_WITHIN", 0.1)
    runner = LocalRunner(fake_python(tmp_path, "exec sleep 60"), str(home))
    with pytest.raises(RunnerUnsure, match="stop gave no answer"):
        runner.stop(str(home), 1)


def test_a_file_that_is_not_executable_is_an_error(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "python"
    path.write_text("")
    with pytest.raises(RunnerError, match="stop did not work on this machine"):
        LocalRunner(str(path), str(home)).stop(str(home), 1)


def test_read(runner: LocalRunner, home: Path) -> None:
    path = home / "file"
    path.write_bytes(b"0123456789")
    assert runner.read(str(path), 2, 3) == b"234"
    assert runner.read(str(path), 8, 100) == b"89"
    assert runner.read(str(path), 10, 100) == b""
    assert runner.read(str(home / "none"), 0, 100) == b""


def test_what_cannot_be_read_is_an_error(runner: LocalRunner, home: Path) -> None:
    with pytest.raises(RunnerError, match="cannot be read: Is a directory"):
        runner.read(str(home), 0, 1)


def test_stat_and_exists(runner: LocalRunner, home: Path) -> None:
    path = home / "file"
    path.write_bytes(b"123")
    assert runner.stat(str(path)) == FileFact(str(path), 3, path.stat().st_mtime)
    assert runner.stat(str(home / "none")) is None
    assert runner.exists(str(home)) is True
    assert runner.exists(str(home / "none")) is False


def test_files_are_named_from_the_directory_asked_about(runner: LocalRunner, home: Path) -> None:
    (home / "a/b").mkdir(parents=True)
    (home / "a/b/one").write_text("1")
    (home / "a/two").write_text("22")
    found = {(fact.path, fact.size) for fact in runner.files(str(home / "a"))}
    assert found == {("b/one", 1), ("two", 2)}
    assert list(runner.files(str(home / "none"))) == []


def test_sample(runner: LocalRunner) -> None:
    sample = runner.sample()
    assert 0 <= sample["cpu_percent"] <= 100
    assert 0 < sample["memory_used"] < sample["memory_total"]
    assert 0 < sample["disk_used"] <= sample["disk_total"]
    assert isinstance(sample["gpus"], list)


def test_a_workdir_that_is_gone_cannot_be_measured(trainer: FakeTrainer) -> None:
    with pytest.raises(RunnerError, match="/nowhere cannot be measured"):
        LocalRunner(trainer.python, "/nowhere").sample()


def fake_python(folder: Path, script: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
