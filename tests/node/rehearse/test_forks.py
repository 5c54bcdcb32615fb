"""A Python that starts as a fork is like any other: to who starts it, and to what it runs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import is_gone, until
from trainyard_node import discard
from trainyard_node.attempt import Attempt
from trainyard_node.rehearse.forks import client

HOST = Path(__file__).with_name("fork_host.py")
TOLD = """
import json, os, sys
print(json.dumps({
    "argv": sys.argv, "folder": os.getcwd(), "path": sys.path[0], "name": __name__,
    "given": os.environ.get("GIVEN"), "home": os.environ.get("HOME"), "pid": os.getpid(),
    "decoder": "json.decoder" in sys.modules, "leads": os.getsid(0) == os.getpid(),
}))
print(sys.stdin.read(), file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
WAITS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def python() -> Iterator[str]:
    """The file that starts a fork."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, str(HOST)], **pipes) as host:
        assert host.stdout
        assert host.stdin
        path = host.stdout.readline().strip()
        yield path
        host.stdin.close()
        assert host.wait(10) == 0
    assert not Path(path).exists()


def script(folder: Path, text: str) -> str:
    path = folder / "script.py"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("starter", ["a fork", "no server"])
def test_it_runs_a_file_with_all_that_it_was_given(
    python: str, tmp_path: Path, starter: str
) -> None:
    path = script(tmp_path, TOLD)
    plain = [sys.executable, "-I", "-S", str(client.__file__), str(tmp_path / "none")]
    done = subprocess.run(
        [*([python] if starter == "a fork" else plain), "-u", path, "7", "two words"],
        env={"GIVEN": "x" * 100_000, "PATH": os.environ["PATH"]}, cwd=tmp_path,
        input="said", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (7, "said\n")
    told = json.loads(done.stdout)
    assert (told["argv"], told["name"]) == ([path, "7", "two words"], "__main__")
    assert (told["folder"], told["path"]) == (str(tmp_path), str(tmp_path))
    assert (len(told["given"]), told["home"], told["leads"]) == (100_000, None, False)


def test_it_runs_a_module(python: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(TOLD)
    argv = [python, "-m", "own", "0"]
    told = json.loads(subprocess.check_output(argv, cwd=tmp_path, stdin=subprocess.DEVNULL))
    assert (told["argv"], told["decoder"]) == ([str(tmp_path / "own.py"), "0"], True)


def test_an_exception_is_told_as_python_tells_it(python: str, tmp_path: Path) -> None:
    path = script(tmp_path, "raise ValueError('no layers')")
    done = subprocess.run([python, path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: no layers"


@pytest.mark.parametrize("leads", [{"start_new_session": True}, {"process_group": 0}])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_its_group_ends_all_of_it(
    python: str, tmp_path: Path, number: signal.Signals, leads: dict[str, Any]
) -> None:
    argv = [python, script(tmp_path, WAITS)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, **leads) as started:
        assert started.stdout
        pids = [int(word) for word in started.stdout.readline().split()]
        assert (os.getsid(pids[0]) == pids[0]) == ("start_new_session" in leads)
        assert os.getpgid(pids[0]) == pids[0]  # Ray ends the group of a worker that ended
        os.killpg(started.pid, number)
        assert started.wait(10) == -number
        until(lambda: all(is_gone(pid) for pid in pids))


def test_it_ends_with_who_started_it(python: str, tmp_path: Path) -> None:
    path = script(tmp_path, WAITS)
    starter = f"import subprocess; subprocess.run([{python!r}, {path!r}])"
    argv = [sys.executable, "-c", starter]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as started:
        assert started.stdout
        pid, child = (int(word) for word in started.stdout.readline().split())
        started.kill()
        until(lambda: is_gone(pid))
        os.kill(child, signal.SIGKILL)


def test_a_signal_to_the_group_of_the_server_is_not_lost(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(HOST)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as host:  # fmt: skip
        assert host.stdout
        assert host.stdin
        argv = [host.stdout.readline().strip(), script(tmp_path, WAITS)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as started:
            assert started.stdout
            pids = [int(word) for word in started.stdout.readline().split()]
            os.killpg(host.pid, signal.SIGTERM)
            assert host.wait(10) == -signal.SIGTERM
            os.killpg(started.pid, signal.SIGTERM)
            assert started.wait(10) == -signal.SIGTERM
            until(lambda: all(is_gone(pid) for pid in pids))


@pytest.mark.parametrize("killed", ["the host", "its whole group"])
def test_a_folder_does_not_outlive_a_host_that_is_killed(tmp_path: Path, killed: str) -> None:
    """Where its group is killed as well, the wrapper of the run deletes what was announced."""
    with subprocess.Popen(
        [sys.executable, str(HOST)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True, env={**os.environ, "TRAINYARD_RUN_DIR": str(tmp_path)},
    ) as host:  # fmt: skip
        assert host.stdout
        folder = Path(host.stdout.readline().strip()).parent
        assert folder.is_dir()
        if killed == "the host":
            host.kill()
        else:
            os.killpg(host.pid, signal.SIGKILL)
            host.wait(10)
            discard.carry_out(Attempt(tmp_path))
        until(lambda: not folder.exists())


def test_forks_share_no_chance(python: str, tmp_path: Path) -> None:
    path = script(tmp_path, "import random; print(random.random())")
    assert len({subprocess.check_output([python, path]) for _ in range(3)}) == 3


def test_a_fork_that_ended_leaves_nothing_behind(python: str, tmp_path: Path) -> None:
    before = len(psutil.Process().children(recursive=True))
    subprocess.run([python, script(tmp_path, "")], check=True)
    until(lambda: len(psutil.Process().children(recursive=True)) == before)
