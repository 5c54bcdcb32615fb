"""Secrets reach the run's process, and nothing else that the runner touches."""

import json
from pathlib import Path

import pytest

from compute.runners.base import Launch, RunnerError
from compute.runners.local.commands import run_here
from compute.runners.local.runner import LocalRunner
from platform_site.bounded.environment import SECRETS
from tests.fakes import FakeTrainer
from tests.waiting import eventually

SECRET = "s3cret-größe-'$(touch pwned)'"


@pytest.fixture
def runner(trainer: FakeTrainer, home: Path) -> LocalRunner:
    return LocalRunner(trainer.python, str(home))


def run(runner: LocalRunner, attempt: Path, secrets: dict[str, str]) -> None:
    env = {"VERL_FILE_LOGGER_PATH": f"{attempt}/metrics.jsonl"}
    argv = (runner.python, "-m", "verl.trainer.main_ppo")
    runner.launch(Launch(str(attempt), argv, env, secrets))
    eventually((attempt / "exit_code").exists, what="an exit code")


def test_a_secret_is_in_the_process_and_in_no_file(
    runner: LocalRunner, trainer: FakeTrainer, home: Path, tmp_path: Path
) -> None:
    attempt, seen = home / "runs/1/attempt-1", tmp_path / "seen.json"
    trainer.plan(steps=2, env=str(seen))
    run(runner, attempt, {"WANDB_API_KEY": SECRET})
    assert json.loads(seen.read_text())["WANDB_API_KEY"] == SECRET
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"run.sh", "train.log", "events.jsonl", "pid"}
    assert [path for path in files if b"s3cret" in path.read_bytes()] == []


def test_a_launch_does_not_show_its_secrets() -> None:
    launch = Launch("/a", ("x",), {}, {"KEY": SECRET})
    assert "s3cret" not in repr(launch)


def test_a_refused_launch_does_not_name_them(runner: LocalRunner, home: Path) -> None:
    runner.python = str(home / "none")
    with pytest.raises(RunnerError) as caught:
        runner.launch(Launch(str(home / "a"), ("x",), {}, {"KEY": SECRET}))
    assert "s3cret" not in str(caught.value)


def test_what_opens_the_platform_stays_with_the_platform(
    runner: LocalRunner,
    trainer: FakeTrainer,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [*SECRETS, "TRAINYARD_PATHS", "SMTP_PASSWORD", "AWS_SECRET_ACCESS_KEY", "SITE_TOKEN"]
    for name in names:
        monkeypatch.setenv(name, "ours")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "eth0")
    monkeypatch.setenv("OUR_CLUSTER", "north")
    monkeypatch.setenv("TRAINYARD_RUN_ENV", "OUR_CLUSTER, DATABASE_*")
    seen = tmp_path / "seen.json"
    trainer.plan(steps=1, env=str(seen))
    run(runner, home / "runs/1/attempt-1", {})
    found = json.loads(seen.read_text())
    assert found.keys().isdisjoint(names)
    assert found["HTTPS_PROXY"] == "http://proxy.example"
    assert found["NCCL_SOCKET_IFNAME"] == "eth0"
    assert found["OUR_CLUSTER"] == "north"
    assert found["PATH"]


def test_a_program_of_a_check_gets_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "ours")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example")
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    found = json.loads(run_here(["python3", "-c", show], b"", 30))
    assert "SMTP_PASSWORD" not in found
    assert found["PIP_INDEX_URL"] == "https://mirror.example"


def test_which_packages_are_lacking(runner: LocalRunner) -> None:
    assert runner.lacking(["json", "no_such_package", "os"]) == {"no_such_package"}
    assert runner.lacking(["json"]) == set()


def test_a_folder_of_the_platforms_own_is_no_package(
    runner: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wandb_look_alike").mkdir()
    monkeypatch.chdir(tmp_path)
    assert runner.lacking(["wandb_look_alike"]) == {"wandb_look_alike"}


def test_no_python_to_ask(home: Path) -> None:
    with pytest.raises(RunnerError, match="There is no Python at"):
        LocalRunner(str(home / "none"), str(home)).lacking(["json"])
