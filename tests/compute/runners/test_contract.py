"""What every runner does, here and behind a real sshd: the node's real commands, a fake trainer."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from compute.runners.base import (
    Alive,
    FileFact,
    Launch,
    Runner,
    RunnerError,
    RunnerUnsure,
    Stretch,
)
from tests.compute.runners import hostile
from tests.compute.runners.conftest import Place, everywhere
from tests.waiting import eventually

SECRET = "s3cret-größe-'$(touch pwned)'\n"


@pytest.fixture
def runner(place: Place) -> Runner:
    return place.runner()


@pytest.fixture
def attempt(place: Place) -> Path:
    return place.workdir / "runs/1/attempt-1"


def launch(place: Place, attempt: Path, *argv: str) -> None:
    whole = (place.trainer.python, "-m", "verl.trainer.main_ppo", *argv)
    env = {"VERL_FILE_LOGGER_PATH": f"{attempt}/metrics.jsonl", "PYTHONUNBUFFERED": "1"}
    place.runner().launch(Launch(str(attempt), whole, env))


def exit_code(attempt: Path) -> int:
    path = attempt / "exit_code"
    eventually(path.exists, what="an exit code")
    return int(path.read_text())


def has_ended(runner: Runner, attempt: Path) -> None:
    """While what it wrote last is still being read, as on a cluster, a run counts as living."""
    eventually(lambda: runner.alive(str(attempt)) == Alive(wrapper=False, process=False))


def pid_of(path: Path) -> int:
    text = eventually(lambda: path.read_text() if path.exists() else "", what=str(path))
    return int(text)


@everywhere
def test_a_whole_run(runner: Runner, attempt: Path, place: Place) -> None:
    place.trainer.plan(steps=3)
    launch(place, attempt, "data.seed=1")
    assert exit_code(attempt) == 0
    lines = [json.loads(line) for line in (attempt / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert (attempt / "train.log").read_text().startswith("Total training steps: 3\nstep:1 - ")
    events = [json.loads(line)["kind"] for line in (attempt / "events.jsonl").open()]
    assert events == ["started", "exited"]
    assert json.loads((attempt / "pid").read_text())["process"]["pid"] > 1
    assert float((attempt / "heartbeat").read_text()) > 1.7e9
    has_ended(runner, attempt)


@everywhere
def test_hostile_names_arrive_as_written_and_harm_nothing(attempt: Path, place: Place) -> None:
    names = [f"trainer.experiment_name={name}" for name in hostile.NAMES]
    launch(place, attempt, *hostile.NAMES, *names)
    assert exit_code(attempt) == 0
    argv = json.loads((attempt / "argv.json").read_text())
    assert argv == ["-m", "verl.trainer.main_ppo", *hostile.NAMES, *names]
    assert list(place.workdir.rglob("pwned*")) == []
    expected = {"local": ["runs", "static"], "ssh": ["runs"], "ray": ["runs"]}
    assert sorted(path.name for path in place.workdir.iterdir()) == expected[place.kind]


@everywhere
def test_hostile_work_folders_are_only_names(place: Place) -> None:
    """All of them at once, each within the one before."""
    workdir = place.workdir.joinpath(*hostile.FOLDERS)
    attempt = workdir / "runs/1/attempt-1"
    launch(place, attempt, "data.seed=1")
    assert exit_code(attempt) == 0
    runner = place.runner(workdir=str(workdir))
    # The copy of a cluster's run comes a little later than its files.
    assert eventually(lambda: runner.read(str(attempt / "exit_code"), 0, 9)) == b"0\n"
    has_ended(runner, attempt)
    assert runner.sample()["disk_total"] > 0
    assert list(place.workdir.rglob("pwned*")) == []
    folders = list(reversed(workdir.parents))[-len(hostile.FOLDERS) :]
    for folder, name in zip(folders, hostile.FOLDERS, strict=True):
        assert [path.name for path in folder.iterdir() if path.name != "static"] == [name]


@pytest.mark.parametrize("name", hostile.FOLDERS)
def test_a_hostile_file_is_only_a_name(place: Place, runner: Runner, name: str) -> None:
    path = place.folder("a") / name
    path.write_bytes(b"0123")
    assert runner.read(str(path), 1, 2) == b"12"
    assert [fact.path for fact in runner.files(str(path.parent))] == [name]
    assert runner.exists(str(path))
    facts = runner.stat(str(path))
    assert facts
    assert facts.size == 4
    assert list(place.workdir.rglob("pwned*")) == []


@everywhere
def test_a_crash_leaves_its_exit_code_and_its_words(
    runner: Runner, attempt: Path, place: Place
) -> None:
    place.trainer.plan(steps=3, crash_at=2)
    launch(place, attempt)
    assert exit_code(attempt) == 1
    assert "RuntimeError: CUDA out of memory" in (attempt / "train.log").read_text()


@everywhere
def test_a_second_launch_in_the_same_directory_is_refused(
    runner: Runner, attempt: Path, place: Place
) -> None:
    place.trainer.plan(steps=1, gated=True)
    launch(place, attempt)
    eventually((attempt / "argv.json").exists)
    with pytest.raises(RunnerError, match="was started already; an attempt runs once"):
        launch(place, attempt)
    place.trainer.go(1)
    assert exit_code(attempt) == 0
    assert (attempt / "metrics.jsonl").read_text().count("\n") == 1


def test_what_is_barred_never_starts(runner: Runner, attempt: Path, place: Place) -> None:
    assert runner.bar(str(attempt)) is True
    assert runner.bar(str(attempt)) is False
    with pytest.raises(RunnerError, match="was started already"):
        launch(place, attempt)
    assert not (attempt / "argv.json").exists()
    other = attempt.with_name("attempt-2")
    launch(place, other)
    assert runner.bar(str(other)) is False
    assert exit_code(other) == 0


@everywhere
def test_stop_ends_a_grandchild_that_ignores_sigterm_too(
    runner: Runner, attempt: Path, place: Place
) -> None:
    place.trainer.plan(steps=1, gated=True, grandchild=True)
    launch(place, attempt)
    grandchild = psutil.Process(pid_of(attempt / "grandchild"))
    assert runner.alive(str(attempt)) == Alive(wrapper=True, process=True)
    runner.stop(str(attempt), grace=0)
    assert exit_code(attempt) == 143
    assert not lives(grandchild)
    has_ended(runner, attempt)


@everywhere
def test_stop_kills_a_trainer_that_ignores_sigterm(
    runner: Runner, attempt: Path, place: Place
) -> None:
    place.trainer.plan(steps=1, gated=True, stubborn=True)
    launch(place, attempt)
    eventually((attempt / "train.log").read_text)
    runner.stop(str(attempt), grace=0)
    assert exit_code(attempt) == 137


def test_stop_ends_a_run_whose_wrapper_is_dead(runner: Runner, attempt: Path, place: Place) -> None:
    place.trainer.plan(steps=1, gated=True)
    launch(place, attempt)
    record = json.loads((attempt / "pid").read_text())
    process = psutil.Process(record["process"]["pid"])
    psutil.Process(record["wrapper"]["pid"]).send_signal(signal.SIGKILL)
    eventually(lambda: runner.alive(str(attempt)) == Alive(wrapper=False, process=True))
    runner.stop(str(attempt), grace=0)
    assert not lives(process)
    assert not (attempt / "exit_code").exists()


def test_stop_never_hits_a_recycled_pid(runner: Runner, attempt: Path, place: Place) -> None:
    place.trainer.plan(steps=1, gated=True)
    launch(place, attempt)
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


@everywhere
def test_stop_where_nothing_runs_is_no_error(runner: Runner, attempt: Path, place: Place) -> None:
    place.folder("runs/1/attempt-1")
    runner.stop(str(attempt), grace=0)
    assert list(attempt.iterdir()) == []


def test_no_python(attempt: Path, place: Place) -> None:
    expected = {
        "local": r"There is no Python at /nowhere/python\. Run make",
        "ssh": r"There is no Python at /nowhere/python\. Set the machine up",
    }
    runner = place.runner(python="/nowhere/python")
    with pytest.raises(RunnerError, match=expected[place.kind]):
        runner.launch(Launch(str(attempt), ("x",), {}))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo one >&2; echo two >&2; exit 3", "two"),
        ("exit 3", r"stop ended with 3\."),
        ("echo ' ' >&2; exit 3", r"stop ended with 3\."),
    ],
)
def test_a_node_that_fails_is_quoted(place: Place, script: str, words: str) -> None:
    with pytest.raises(RunnerError, match=words):
        place.runner(python=place.python(script)).stop(str(place.workdir), 1)


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 137"])
def test_a_node_that_is_killed_leaves_the_runner_unsure(
    place: Place, attempt: Path, end: str
) -> None:
    """The wrapper may be there, though who started it did not live to say so."""
    place.trainer.plan(steps=1)
    real = f'"{place.trainer.python}" "$@"'
    start = f'[ "$2" = trainyard_node.run ] || exec {real}; {real}; {end}'
    runner = place.runner(python=place.python(start))
    whole = (place.trainer.python, "-m", "verl.trainer.main_ppo")
    env = {"VERL_FILE_LOGGER_PATH": f"{attempt}/metrics.jsonl"}
    with pytest.raises(RunnerUnsure, match="killed"):
        runner.launch(Launch(str(attempt), whole, env))
    assert exit_code(attempt) == 0


@pytest.mark.parametrize("answer", ["", "not JSON", "[]", '{"wrapper": true}'])
def test_an_answer_that_cannot_be_read_is_an_error(place: Place, answer: str) -> None:
    runner = place.runner(python=place.python(f"echo '{answer}'"))
    with pytest.raises(RunnerError):
        runner.alive(str(place.workdir))


def test_a_node_that_is_silent_leaves_the_runner_unsure(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"compute.runners.{place.kind}.runner.ANSWERS_WITHIN", 0.1)
    runner = place.runner(python=place.python("exec sleep 60"))
    with pytest.raises(RunnerUnsure, match="stop gave no answer"):
        runner.stop(str(place.workdir), 1)


def test_a_file_that_is_not_executable_is_an_error(place: Place) -> None:
    path = place.folder("a") / "python"
    path.write_text("")
    expected = {"local": "stop did not work on this machine", "ssh": "There is no Python at"}
    with pytest.raises(RunnerError, match=expected[place.kind]):
        place.runner(python=str(path)).stop(str(place.workdir), 1)


def test_read(runner: Runner, place: Place) -> None:
    home = place.workdir
    path = home / "file"
    path.write_bytes(b"0123456789")
    assert runner.read(str(path), 2, 3) == b"234"
    assert runner.read(str(path), 8, 100) == b"89"
    assert runner.read(str(path), 10, 100) == b""
    assert runner.read(str(home / "none"), 0, 100) == b""


def test_what_cannot_be_read_is_an_error(runner: Runner, place: Place) -> None:
    with pytest.raises(RunnerError, match="cannot be read: Is a directory"):
        runner.read(str(place.workdir), 0, 1)


def test_what_is_no_file_is_not_waited_for(runner: Runner, place: Place) -> None:
    """A run may put a pipe or a device in a file's place."""
    os.mkfifo(place.workdir / "pipe")
    (place.workdir / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(RunnerError, match="cannot be read: It is no plain file"):
            runner.read(str(place.workdir / name), 0, 1)
        with pytest.raises(RunnerError, match="It is no plain file"):
            runner.get(str(place.workdir / name), place.workdir / "copy", lambda *_: None)


@everywhere
def test_stat_and_exists(runner: Runner, place: Place) -> None:
    home = place.workdir
    path = home / "file"
    path.write_bytes(b"123")
    assert runner.stat(str(path)) == FileFact(str(path), 3, path.stat().st_mtime)
    assert runner.stat(str(home / "none")) is None
    assert runner.exists(str(home)) is True
    assert runner.exists(str(home / "none")) is False


def test_files_are_named_from_the_directory_asked_about(runner: Runner, place: Place) -> None:
    home = place.workdir
    (home / "a/b").mkdir(parents=True)
    (home / "a/b/one").write_text("1")
    (home / "a/two").write_text("22")
    found = {(fact.path, fact.size) for fact in runner.files(str(home / "a"))}
    assert found == {("b/one", 1), ("two", 2)}
    assert list(runner.files(str(home / "none"))) == []


@everywhere
def test_sample(runner: Runner) -> None:
    sample = runner.sample()
    assert 0 <= sample["cpu_percent"] <= 100
    assert 0 < sample["memory_used"] < sample["memory_total"]
    assert 0 < sample["disk_used"] <= sample["disk_total"]
    assert isinstance(sample["gpus"], list)


def test_a_workdir_that_is_gone_cannot_be_measured(place: Place) -> None:
    with pytest.raises(RunnerError, match="/nowhere cannot be measured"):
        place.runner(workdir="/nowhere").sample()


def test_many_stretches_come_in_their_order(runner: Runner, place: Place) -> None:
    folder = place.folder("a")
    for n in range(60):
        (folder / str(n)).write_bytes(b"%03d" % n * 1000)
    stretches = [Stretch(str(folder / str(n)), n, 3) for n in (59, 0, 31)]
    stretches.insert(1, Stretch(str(folder / "none"), 0, 3))
    assert runner.read_many(stretches) == [b"905", b"", b"000", b"310"]
    assert runner.read_many([]) == []


@everywhere
def test_what_is_asked_of_a_run_lies_in_its_control_folder(runner: Runner, place: Place) -> None:
    attempt = place.folder("runs/1/attempt-1")
    runner.ask(str(attempt), "pause")
    runner.ask(str(attempt), "save")
    assert sorted(path.name for path in (attempt / "control").iterdir()) == ["pause", "save"]
    with pytest.raises(RunnerError, match="The run could not be asked to save"):
        runner.ask(str(attempt.with_name("none")), "save")


@everywhere
def test_the_clock(runner: Runner) -> None:
    assert abs(runner.now() - time.time()) < 5


def test_a_secret_is_in_the_process_and_nowhere_else(
    runner: Runner, attempt: Path, place: Place
) -> None:
    seen = place.folder("seen") / "env.json"
    place.trainer.plan(steps=1, gated=True, env=str(seen))
    env = {"VERL_FILE_LOGGER_PATH": f"{attempt}/metrics.jsonl"}
    whole = (place.trainer.python, "-m", "verl.trainer.main_ppo")
    runner.launch(Launch(str(attempt), whole, env, {"WANDB_API_KEY": SECRET}))
    eventually((attempt / "metrics.jsonl").exists, what="a start")
    assert json.loads(seen.read_text())["WANDB_API_KEY"] == SECRET
    assert [line for line in command_lines() if "s3cret" in line] == []
    place.trainer.go(1)
    assert exit_code(attempt) == 0
    files = [path for path in place.workdir.rglob("*") if path.is_file() and path != seen]
    assert {path.name for path in files} >= {"run.sh", "train.log", "events.jsonl", "pid"}
    assert [path for path in files if b"s3cret" in path.read_bytes()] == []
    assert list(place.workdir.rglob("pwned*")) == []


def command_lines() -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


@everywhere
def test_which_packages_are_lacking(runner: Runner) -> None:
    assert runner.lacking(["json", "no_such_package", "os"]) == {"no_such_package"}


@everywhere
def test_only_what_a_run_made_is_removed(runner: Runner, place: Place) -> None:
    folder = place.folder("runs/1/attempt-1/checkpoints/global_step_2/actor")
    (folder / "model.pt").write_bytes(b"12345")
    checkpoint, other = folder.parent, place.folder("runs/1/attempt-1/rollouts")
    for path in (other, checkpoint.parent, folder, place.workdir, Path("/etc/ssh"), "a/b"):
        with pytest.raises(RunnerError):
            runner.remove(str(path))
    with pytest.raises(RunnerError, match="no folder that a run made"):
        runner.remove(f"{checkpoint}/../../../../1/attempt-1/checkpoints/global_step_2")
    assert runner.remove(str(checkpoint)) == 5
    assert list(checkpoint.parent.iterdir()) == []
    assert other.is_dir()
    assert runner.remove(str(checkpoint)) is None


@everywhere
@pytest.mark.parametrize("name", ["model", "adapter", "comparison"])
def test_what_a_run_made_besides_is_removed(runner: Runner, place: Place, name: str) -> None:
    made = place.folder(f"runs/1/attempt-1/{name}")
    (made / "part").write_bytes(b"12345")
    with pytest.raises(RunnerError):
        runner.remove(str(made / "part"))
    assert runner.remove(str(made)) == 5
    assert not made.exists()


@everywhere
def test_a_whole_run_is_removed_with_its_attempts(runner: Runner, place: Place) -> None:
    name = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"
    run, other = place.folder(f"runs/{name}"), place.folder("runs/1")
    for attempt in ("attempt-1", "attempt-2"):
        (place.folder(f"runs/{name}/{attempt}") / "train.log").write_bytes(b"123")
    for path in (run.parent, other, run / "attempt-1"):
        with pytest.raises(RunnerError, match="no folder that a run made"):
            runner.remove(str(path))
    assert runner.remove(str(run)) == 6
    assert list(run.parent.iterdir()) == [other]
    assert runner.remove(str(run)) is None


def test_a_removal_that_was_broken_off_is_cleared_away(runner: Runner, place: Place) -> None:
    away = place.folder("runs/1/attempt-1/checkpoints/.global_step_2.removed")
    (away / "left").write_bytes(b"123")
    assert runner.remove(str(away.with_name("global_step_2"))) == 3
    assert list(away.parent.iterdir()) == []


def test_what_a_link_points_to_is_not_removed(runner: Runner, place: Place) -> None:
    real = place.folder("precious")
    (real / "file").write_text("1")
    link = place.folder("runs/1/attempt-1/checkpoints") / "global_step_2"
    link.symlink_to(real)
    with pytest.raises(RunnerError, match="is a link"):
        runner.remove(str(link))
    assert (real / "file").exists()


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
