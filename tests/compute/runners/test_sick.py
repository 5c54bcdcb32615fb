"""Machines that are sick or mean: what they say is kept in bounds, and nobody waits for ever."""

import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from compute.runners import rundir
from compute.runners.base import LoginRefused, RunnerError, RunnerUnsure, Unreachable
from compute.runners.facts import file_facts
from compute.runners.far.common import frame
from compute.runners.ssh import connection as connections
from compute.runners.ssh import process as processes
from compute.runners.ssh import setup, transfer
from compute.runners.ssh.address import Address, Login
from compute.runners.ssh.connection import Connection, close_all, connection_to
from compute.runners.ssh.programs import LOADER, program
from compute.runners.text import bounded
from jobs.verl.checkpoints import find_checkpoints
from tests.compute.runners.conftest import Place
from tests.fakes.fake_servers import fake_server
from tests.sshd import Sshd
from tests.waiting import eventually

NASTY = "a\0b\ud800c"
MARK = "printf 'TRAINYARD ANSWERS\\n'"


@pytest.fixture(autouse=True)
def no_connection_left() -> Iterator[None]:
    yield
    close_all()


def framed(header: dict[str, Any]) -> str:
    """A shell line that prints a header as a far program does."""
    data = frame(header)
    return "printf '" + "".join(f"\\{byte:03o}" for byte in data) + "'"


def answering(far: Place, *headers: dict[str, Any]) -> str:
    """A Python that is none: it gives these answers, whatever is asked, and stays."""
    return far.python("; ".join([MARK, *map(framed, headers), "cat > /dev/null"]))


def test_what_an_error_quotes_can_be_stored() -> None:
    for kind in (RunnerError, Unreachable, LoginRefused, RunnerUnsure):
        said = str(kind(f"It says {NASTY}" + "x" * 100_000))
        assert said.startswith("It says a\ufffdb\ufffdc")
        assert len(said) == 2000
        said.encode()
    assert bounded("größe 🚂") == "größe 🚂"


def test_far_sentences_are_cleaned(far: Place) -> None:
    runner = far.runner(answering(far, {"error": NASTY * 10_000}))
    with pytest.raises(RunnerError) as caught:
        runner.now()
    assert "\0" not in str(caught.value)
    assert len(str(caught.value)) <= 2000


def test_last_words_are_cleaned(sshd: Sshd) -> None:
    with pytest.raises(RunnerError) as caught:
        connection_to(sshd.address()).run(["sh"], b"printf 'one\\000two' >&2; exit 3")
    assert str(caught.value) == "one\ufffdtwo"


def test_what_a_checkpoint_lacks_is_cleaned() -> None:
    told = {"step": 1, "world_size": 1, "faults": [NASTY] * 1000}
    examined = rundir.read_examined(json.dumps(told))
    assert set(examined.faults) == {"a\ufffdb\ufffdc"}
    assert len(examined.faults) == 20
    with pytest.raises(ValueError, match="does not say what a checkpoint is worth"):
        rundir.read_examined('{"step": Infinity, "world_size": 1, "faults": []}')


@pytest.mark.parametrize(
    ("text", "code"), [("0\n", 0), ("-9", -9), ("9" * 100, 2**15), ("-" + "9" * 100, 2**15)]
)
def test_an_exit_code_fits_every_database(text: str, code: int) -> None:
    assert rundir.read_exit_code(text) == code


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_a_heartbeat_that_is_no_time_is_none(text: str) -> None:
    assert rundir.read_heartbeat(text) is None


@pytest.mark.parametrize(
    "told",
    [
        None, 7, "ab", [7], [["a"]], [["a", 1, 1, 1]], [[1, 1, 1]], [["a", -1, 1]],
        [["a", 2**70, 1]], [["a", True, 1]], [["a", 1, "x"]], [["a", 1, float("nan")]],
        [["a" * 20_000, 1, 1]],
    ],
)  # fmt: skip
def test_lists_of_files_that_are_none(told: Any) -> None:
    with pytest.raises(ValueError, match="file"):
        file_facts(told)


def test_names_that_are_no_step_and_a_clock_gone_wrong_list_no_checkpoint() -> None:
    names = ["global_step_1\n", "global_step_٣", "global_step_" + "9" * 30, "global_step_2"]
    told = file_facts([[f"checkpoints/{name}/a", 1, 1e300] for name in names])
    assert [found.step for found in find_checkpoints(told, 5)] == [2]


def test_answers_of_the_wrong_kind(far: Place) -> None:
    runner = far.runner(answering(far, *[{"now": "x", "facts": 7, "files": 7}] * 4))
    with pytest.raises(RunnerError, match="does not say what time it is"):
        runner.now()
    with pytest.raises(RunnerError, match="gave an answer that is none"):
        runner.stat("/x")
    with pytest.raises(RunnerError, match="gave an answer that is none"):
        runner.files("/x")
    assert runner.exists("/x") is False


@pytest.mark.parametrize("header", [{"size": -1, "from": 0}, {"size": 2**80}, {"size": "x"}, {}])
def test_a_file_of_no_size(far: Place, tmp_path: Path, header: dict[str, Any]) -> None:
    runner = far.runner(answering(far, header))
    with pytest.raises(RunnerError, match="does not say how many bytes"):
        runner.get("/x", tmp_path / "x", lambda done, total: None)


def test_a_peer_that_drips_is_given_up_in_all(far: Place) -> None:
    """A byte now and then is no answer, however long it goes on."""
    slow = far.python(f"{MARK}; while :; do printf '\\000'; sleep 0.2; done")
    script = [slow, "-c", "x"]
    with connection_to(_address(far)).start(script) as process:
        process.read_past(b"TRAINYARD ANSWERS\n", 1000)
        began = time.monotonic()
        with pytest.raises(RunnerUnsure, match="no whole answer for 1 s"):
            process.read(1_000, 1.0)
        assert time.monotonic() - began < 3
        with pytest.raises(RunnerUnsure, match="no whole answer"):
            process.read_past(b"never", 1_000_000, 0.5)


def _address(far: Place) -> Address:
    runner: Any = far.runner()
    address: Address = runner._connection.address
    return address


def test_a_peer_that_talks_without_end_fills_no_memory(
    far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MOST_ANSWER", 1 << 20)
    with pytest.raises(RunnerError, match="more than any answer has"):
        connection_to(_address(far)).run(["cat", "/dev/zero"])


def test_signs_of_life_without_end(
    far: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = framed({"hashing": True})
    python = far.python(f"{MARK}; while {endless}; do :; done")
    (tmp_path / "a").write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    with pytest.raises(RunnerError, match="is still busy with this file"):
        far.runner(python).put(tmp_path / "a", digest, lambda done, total: None)
    monkeypatch.setattr(transfer, "BUSY_FOR", 0.5)
    endless = framed({"waiting": True})
    python = far.python(f"{MARK}; while {endless}; do :; done")
    with pytest.raises(RunnerError, match="is still busy with this file"):
        far.runner(python).put(tmp_path / "a", digest, lambda done, total: None)


class NeverAnswers(paramiko.ServerInterface):
    """Lets anybody in and opens channels; a request on one is never answered."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return int(paramiko.common.AUTH_SUCCESSFUL)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.common.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.ended.wait(20)
        return False

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        self.ended.wait(20)
        return False


@pytest.fixture
def mute() -> Iterator[Address]:
    key, server = paramiko.RSAKey.generate(2048), NeverAnswers()

    def behave(line: socket.socket) -> None:
        transport = paramiko.Transport(line)
        transport.add_server_key(key)
        transport.start_server(server=server)
        server.ended.wait(20)
        transport.close()

    with fake_server(behave) as port:
        known = f"ssh-rsa {key.get_base64()}"
        yield Address("127.0.0.1", Login("ada", password="x"), port, known)
        server.ended.set()


def test_a_request_that_is_never_answered(mute: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OPEN_WITHIN", 0.5)
    with pytest.raises(Unreachable, match="takes a request and does not answer"):
        Connection(mute).run(["true"])


def test_a_home_that_is_never_told(mute: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OPEN_WITHIN", 0.5)
    with pytest.raises(Unreachable, match="takes a request and does not answer"):
        Connection(mute).home()


@pytest.mark.parametrize("told", ["home", "/a\0b", "/" + "a" * 400, ""])
def test_a_home_that_is_no_folder(sshd: Sshd, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setattr(Connection, "run", lambda *_: told.encode())
    with pytest.raises(RunnerError, match="does not say where its user's home is"):
        Connection(sshd.address()).home()


def test_an_installation_that_never_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(setup, "INSTALLED_WITHIN", 0.2)
    told = {
        "root": "/r", "missing": [], "running": True, "code": None, "has_python": False,
        "python": "/p", "base": None, "log": NASTY, "offset": 1, "is_all": False,
    }  # fmt: skip
    heard: list[str] = []

    class Heard(setup.Progress):
        def log(self, text: str) -> None:
            heard.append(text)

    (tmp_path / "verl-0.9").mkdir()
    for name in ("install.sh", "verl-0.9/lock.txt", "verl-0.9/requirements.txt"):
        (tmp_path / name).touch()
    plan = setup.Plan(tmp_path, "verl-0.9", "/work")
    with pytest.raises(setup.SetUpFailed, match="still runs after"):
        setup.set_up(lambda *_: json.dumps(told).encode(), plan, Heard())
    assert set(heard) == {"a\ufffdb\ufffdc"}


def test_a_sender_that_stops_in_the_middle_lets_others_send(tmp_path: Path) -> None:
    """The line stays open, and nothing comes: the lock is given back all the same."""
    text = program("receive").partition(b"\n")[2].replace(b"SILENT_FOR = 30", b"SILENT_FOR = 1")
    assert b"SILENT_FOR = 1" in text
    content = b"x" * 10
    asked = {
        "folder": str(tmp_path / "f"), "name": "a", "size": 10,
        "digest": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    whole = b"%d\n" % len(text) + text + frame(asked)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", LOADER], **pipes) as first:  # type: ignore[call-overload]
        first.stdin.write(whole)
        first.stdin.flush()
        assert first.stdout.read(len(b"TRAINYARD ANSWERS\n") + 4)  # it waits for "from"
        eventually(lambda: first.poll() is not None, what="the end of the first")
        second = subprocess.run(
            [sys.executable, "-c", LOADER], input=whole + frame({"from": 0}) + content,
            capture_output=True, timeout=20, check=True,
        )  # fmt: skip
    assert b'"done": true' in second.stdout
