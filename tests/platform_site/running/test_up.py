"""``manage.py up``: three programs under one supervisor, each of them real."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from platform_site.running.management.commands.up import WEB
from tests import processes
from tests.waiting import eventually

STARTS_WITHIN = 180  # seconds: all migrations, on cores that other stages keep busy


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    """A home with a database of its own."""
    given = {"PATH": os.environ["PATH"], "HOME": str(home), "TRAINYARD_HOME": str(home)}
    return {**given, "TRAINYARD_TRAIN_PYTHON": "/nowhere/python"}


@contextmanager
def up(env: dict[str, str], port: int, output: Path) -> Iterator[subprocess.Popen[str]]:
    argv = ("up", "--no-samples", "--port", str(port))
    with processes.running(*argv, env=env, output=output) as process:
        eventually(lambda: status(port) == 302, STARTS_WITHIN, "an answer from the web")
        yield process


def status(port: int, path: str = "/") -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def child(process: subprocess.Popen[str], argument: str) -> psutil.Process:
    """The program with this argument in its command line, once it is there."""

    def look() -> psutil.Process | None:
        children = psutil.Process(process.pid).children()
        return next((found for found in children if argument in argv_of(found)), None)

    found = eventually(look, what=argument)
    assert found
    return found


def argv_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_from_the_first_start_to_the_end(env: dict[str, str], port: int, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with up(env, port, output) as process:
        programs = [child(process, name) for name in (WEB, "qcluster", "watchjobs")]
        text = output.read_text()
        assert f"Trainyard is at http://127.0.0.1:{port}/" in text
        [password] = re.findall(r"Password  (\S+)", text)
        assert len(password) >= 16
        assert log_in(port, password) == 302
        assert log_in(port, "wrong") == 200

        second = processes.run("up", "--no-samples", "--port", str(free_port()), env=env)
        assert second.returncode == 1
        assert "Trainyard already runs on" in second.stderr

        watcher = programs[2]
        watcher.kill()
        eventually(lambda: child(process, "watchjobs").pid != watcher.pid)
        eventually(lambda: "watcher ended with code -9" in output.read_text())
        assert status(port) == 302

        programs = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert [found for found in programs if alive(found)] == []
        assert "Stopped. Training that was running goes on." in output.read_text()

    again = tmp_path / "again"
    with up(env, port, again) as process:
        assert "Password" not in again.read_text()
        programs = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        eventually(lambda: not any(map(alive, programs)), 20, "all programs ended with it")


def log_in(port: int, password: str) -> int:
    """Log in as a browser does; 302 when it worked."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/accounts/login/")
    response = connection.getresponse()
    page = response.read().decode()
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    cookie = response.headers["Set-Cookie"].partition(";")[0]
    body = f"csrfmiddlewaretoken={token}&username=admin&password={password}"
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/accounts/login/", body, headers)
    answer = connection.getresponse()
    connection.close()
    return answer.status


def test_a_port_in_use_says_so(env: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = processes.run("up", "--no-samples", "--port", str(port), env=env)
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert f"Try --port {port + 1}." in done.stderr
    assert "Password" not in done.stdout


@pytest.mark.parametrize("port", ["0x", "-1", "70000"])
def test_a_port_that_is_none(env: dict[str, str], port: str) -> None:
    done = processes.run("up", "--no-samples", f"--port={port}", env=env)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_no_training_environment_does_not_keep_the_site_from_starting(
    env: dict[str, str], port: int, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    argv = ("up", "--port", str(port))
    with processes.running(*argv, env=env, output=output) as process:
        eventually(lambda: status(port) == 302, STARTS_WITHIN)
        assert "There is no training environment at /nowhere/python" in output.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
