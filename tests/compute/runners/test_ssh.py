"""What only a far machine has: modes of what is made there, and a Python that may be missing."""

import stat
import time
from pathlib import Path

import pytest

from compute.runners.base import Launch, RunnerError, Stretch
from tests.compute.runners.conftest import Place


def test_a_run_directory_is_its_owners_alone(far: Place) -> None:
    attempt = far.workdir / "runs/1/attempt-1"
    env = {"VERL_FILE_LOGGER_PATH": f"{attempt}/metrics.jsonl"}
    far.runner().launch(Launch(str(attempt), (far.trainer.python, "-m", "x"), env))
    for folder in (attempt, attempt.parent, attempt.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((attempt / "run.sh").stat().st_mode) == 0o600


def test_a_run_does_not_inherit_the_narrow_mode(far: Place) -> None:
    """What training writes has the modes that the far user's own settings say."""
    attempt = far.workdir / "runs/1/attempt-1"
    env = {"VERL_FILE_LOGGER_PATH": f"{attempt}/metrics.jsonl"}
    far.runner().launch(Launch(str(attempt), (far.trainer.python, "-m", "x"), env))
    assert stat.S_IMODE((attempt / "train.log").stat().st_mode) & 0o044 == 0o044


def test_files_are_read_though_the_training_python_is_gone(far: Place) -> None:
    (far.folder("a") / "log").write_bytes(b"0123")
    runner = far.runner(python="/nowhere/python")
    assert runner.read(str(far.workdir / "a/log"), 1, 2) == b"12"
    with pytest.raises(RunnerError, match="There is no Python at /nowhere/python"):
        runner.lacking(["json"])


def test_a_python_below_the_home(far: Place) -> None:
    with pytest.raises(RunnerError, match=r"There is no Python at /.*/none/bin/python\."):
        far.runner(python="~/none/bin/python").lacking(["json"])


def test_a_package_in_the_far_home_is_none_of_ours(far: Place, far_home: Path) -> None:
    name = f"trainyard_look_alike_{time.time_ns()}"
    (far_home / f"{name}.py").touch()
    try:
        assert far.runner().lacking([name]) == {name}
    finally:
        (far_home / f"{name}.py").unlink()


def test_many_stretches_are_one_question(far: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import paramiko

    runner, sent = far.runner(), []
    runner.now()
    send = paramiko.Channel.sendall

    def count(channel: paramiko.Channel, data: bytes) -> None:
        sent.append(len(data))
        send(channel, data)

    monkeypatch.setattr(paramiko.Channel, "sendall", count)
    stretches = [Stretch(str(far.workdir / str(n)), 0, 9) for n in range(60)]
    assert runner.read_many(stretches) == [b""] * 60
    assert len(sent) == 1
