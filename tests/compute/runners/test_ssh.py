"""What only a far machine has: modes of what is made there, and a Python that may be missing."""

import stat
import time
from pathlib import Path

import pytest

from compute.runners.base import Launch, RunnerError, Stretch, Unreachable
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


def test_a_folder_that_may_not_be_entered_is_an_answer(far: Place) -> None:
    """And the next question is answered as well: nothing is taken for a cut line."""
    locked = far.folder("locked")
    (locked / "model").mkdir()
    locked.chmod(0)
    try:
        runner = far.runner()
        with pytest.raises(RunnerError, match="cannot be looked at") as found:
            runner.exists(str(locked / "model/config.json"))
        assert not isinstance(found.value, Unreachable)
        assert runner.exists(str(far.workdir))
        with pytest.raises(RunnerError, match="cannot be looked at"):
            runner.exists(f"{far.workdir}/{'x' * 300}")
    finally:
        locked.chmod(0o700)


@pytest.mark.parametrize(
    "answer", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\x0e" + b'{"sizes":[99]}']
)
def test_an_answer_beyond_what_was_asked_is_refused(far: Place, answer: bytes) -> None:
    fake = far.python(f"printf 'TRAINYARD ANSWERS\\n'; printf '{octal(answer)}'; cat > /dev/null")
    runner = far.runner(python=fake)
    with pytest.raises(RunnerError, match="gave an answer that is none"):
        runner.read(str(far.workdir / "a"), 0, 10)


def octal(data: bytes) -> str:
    return "".join(f"\\{byte:03o}" for byte in data)
