"""A line that is cut, and a server that is killed and comes back, behind the SSH runner."""

import hashlib
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from compute.runners.base import Launch, RunnerError, RunnerUnsure, Stretch, Unreachable
from compute.runners.ssh import connection as connections
from compute.runners.ssh.connection import close_all
from compute.runners.ssh.runner import SshRunner
from tests.compute.runners.conftest import Place, far_place
from tests.fakes.fake_line import FakeLine
from tests.sshd import Account, Sshd
from tests.waiting import eventually


@pytest.fixture
def far(far_account: Account, far_folder: Path, own_sshd: Sshd) -> Place:
    return far_place(far_account, far_folder, own_sshd)


@pytest.fixture
def line(own_sshd: Sshd) -> Iterator[FakeLine]:
    with FakeLine(own_sshd.port) as made:
        yield made
        close_all()


@pytest.fixture
def runner(own_sshd: Sshd, line: FakeLine, far: Place) -> SshRunner:
    address = replace(own_sshd.address(), port=line.port)
    return SshRunner(address, far.trainer.python, str(far.workdir))


def launch_of(far: Place, python: str = "") -> Launch:
    attempt = str(far.workdir / "runs/1/attempt-1")
    argv = (python or far.trainer.python, "-m", "verl.trainer.main_ppo")
    return Launch(attempt, argv, {"VERL_FILE_LOGGER_PATH": f"{attempt}/metrics.jsonl"})


def test_a_line_cut_while_tailing_is_made_again(
    runner: SshRunner, line: FakeLine, far: Place
) -> None:
    log = far.folder("a") / "log"
    log.write_bytes(b"one\n")
    assert runner.read(str(log), 0, 100) == b"one\n"
    line.cut()
    with log.open("ab") as file:
        file.write(b"two\n")
    assert runner.read_many([Stretch(str(log), 4, 100)]) == [b"two\n"]


def test_a_server_that_is_killed_and_comes_back(
    runner: SshRunner, own_sshd: Sshd, far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.01)
    launch = launch_of(far)
    far.trainer.plan(steps=2, gated=True)
    runner.launch(launch)
    own_sshd.stop()
    with pytest.raises(Unreachable):
        runner.read(f"{launch.attempt_dir}/train.log", 0, 100)
    far.trainer.go(2)  # the run does not mind
    eventually((Path(launch.attempt_dir) / "exit_code").exists)
    own_sshd.start()
    eventually(lambda: reached(runner), what="the server again")
    assert runner.read(f"{launch.attempt_dir}/exit_code", 0, 100) == b"0\n"


def reached(runner: SshRunner) -> bool:
    try:
        return runner.now() > 0
    except Unreachable:
        return False


def test_sessions_that_are_killed_are_made_again(
    runner: SshRunner, own_sshd: Sshd, far: Place
) -> None:
    assert runner.now() > 0
    own_sshd.cut()
    assert runner.now() > 0
    own_sshd.cut()
    assert runner.lacking(["json"]) == set()


def test_a_line_that_brings_nothing_back_is_given_up_in_time(
    runner: SshRunner, line: FakeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner.now() > 0
    monkeypatch.setattr("compute.runners.ssh.files.ANSWERS_WITHIN", 0.3)
    monkeypatch.setattr(connections, "OPEN_WITHIN", 0.3)
    line.hold.set()
    with pytest.raises(Unreachable, match="did not say within"):
        runner.now()
    line.hold.clear()
    line.cut()
    monkeypatch.undo()
    assert runner.now() > 0


def test_a_launch_whose_answer_does_not_come_is_unsure_and_happened(
    runner: SshRunner, line: FakeLine, far: Place
) -> None:
    """The request arrives whole, then nothing comes back, and the line is cut."""
    launch = launch_of(far)
    assert runner.now() > 0
    caught: list[RunnerError] = []

    def start() -> None:
        try:
            runner.launch(launch)
        except RunnerError as error:
            caught.append(error)

    far.trainer.plan(steps=1, gated=True)
    hold_from_the_launch_on(line, far)
    thread = threading.Thread(target=start)
    thread.start()
    eventually((Path(launch.attempt_dir) / "argv.json").exists, what="the run")
    line.cut()
    thread.join(20)
    assert [type(error) for error in caught] == [RunnerUnsure]
    line.hold.clear()
    with pytest.raises(RunnerError, match="was started already"):
        runner.launch(launch)
    assert runner.alive(launch.attempt_dir).process
    far.trainer.go(1)
    eventually((Path(launch.attempt_dir) / "exit_code").exists)


def hold_from_the_launch_on(line: FakeLine, far: Place) -> None:
    """Answers lie from the moment when the run script is there."""

    def wait() -> None:
        eventually(lambda: list(far.workdir.rglob("run.sh")), what="a run script")
        line.hold.set()

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize("after", [200, 2_000, 3_000])
def test_a_launch_cut_anywhere_happened_once_or_not_at_all(
    runner: SshRunner, line: FakeLine, far: Place, after: int
) -> None:
    launch = launch_of(far)
    far.trainer.plan(steps=1)
    assert runner.now() > 0
    line.cut_after = after
    with pytest.raises((RunnerUnsure, Unreachable)):
        runner.launch(launch)
    line.cut_after = None
    if not runner.exists(f"{launch.attempt_dir}/run.sh"):
        runner.launch(launch)
    eventually((Path(launch.attempt_dir) / "exit_code").exists, what="an end")
    metrics = (Path(launch.attempt_dir) / "metrics.jsonl").read_text()
    assert metrics.count("\n") == 1


def test_a_file_cut_while_it_is_sent_goes_on_with_the_rest(
    runner: SshRunner, line: FakeLine, tmp_path: Path
) -> None:
    content = random.Random(1).randbytes(8 << 20)
    source, digest = source_of(tmp_path, content)
    assert runner.now() > 0
    line.cut_after = 3 << 20
    with pytest.raises(
        Unreachable, match=r"was cut after \d+ of 8388608 bytes\. What arrived is kept"
    ):
        runner.put(source, digest, ignore)
    line.sent, line.cut_after = 0, None
    told: list[int] = []
    path = Path(runner.put(source, digest, lambda done, _: told.append(done)))
    assert path.read_bytes() == content
    assert told[0] > 1 << 19
    assert line.sent < (8 << 20) - told[0] + (1 << 17)  # the rest, and what goes with it
    line.sent = 0
    assert runner.put(source, digest, ignore) == str(path)
    assert line.sent < 20_000


def test_a_file_cut_while_it_comes_goes_on_with_the_rest(
    runner: SshRunner, line: FakeLine, far: Place, tmp_path: Path
) -> None:
    content = random.Random(2).randbytes(8 << 20)
    (far.workdir / "big").write_bytes(content)
    target, told = tmp_path / "here/big", []

    def cut_half_way(done: int, _: int) -> None:
        told.append(done)
        if done > 4 << 20:
            line.cut()

    with pytest.raises(Unreachable, match="was cut after"):
        runner.get(str(far.workdir / "big"), target, cut_half_way)
    assert not target.exists()
    part = (tmp_path / "here/big.part").stat().st_size
    assert part > 4 << 20
    told.clear()
    runner.get(str(far.workdir / "big"), target, lambda done, _: told.append(done))
    assert told[0] == part
    assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


def source_of(folder: Path, content: bytes) -> tuple[Path, str]:
    path = folder / "data set.parquet"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def ignore(done: int, total: int) -> None:
    pass


def test_half_a_request_does_nothing(far: Place, own_sshd: Sshd) -> None:
    from compute.runners.far.common import frame
    from compute.runners.ssh.connection import connection_to
    from compute.runners.ssh.programs import LOADER, program

    folder = str(far.workdir / "runs")
    asked = {"python": far.trainer.python, "command": "run", "argv": [folder], "env": {},
             "folder": folder, "name": "run.sh", "script": "#!/bin/sh\n"}  # fmt: skip
    whole = program("node") + frame(asked)
    connection = connection_to(own_sshd.address())
    for part in (whole[:-1], whole[: len(program("node")) + 2], whole[:50]):
        with pytest.raises(RunnerError):
            connection.run([far.trainer.python, "-c", LOADER], part)
    assert list(far.workdir.iterdir()) == []
