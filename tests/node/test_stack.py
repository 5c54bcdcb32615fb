"""Where a run's processes stand."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import PATIENCE, Run, until
from trainyard_node import stack
from trainyard_node.attempt import Attempt

MakeRun = Callable[[str], Run]
NOTHING = "No Python process of this run is alive on this machine."
# Stands in one function, with a second Python process and one that is none.
WAITING = f"""
cat > stands.py <<'E'
import subprocess, sys, time
def waits_for_the_impossible():
    while True:
        time.sleep(0.1)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, "stands.py", "second"])
    subprocess.Popen(["sleep", "600"])
open("up-" + "".join(sys.argv[1:]), "w").close()
waits_for_the_impossible()
E
exec {sys.executable} stands.py
"""


def text(run: Run) -> str:
    command = [sys.executable, "-m", "trainyard_node.stack", str(run.root)]
    return subprocess.check_output(command, timeout=PATIENCE, text=True)


def standing(make_run: MakeRun) -> Run:
    run = make_run(WAITING)
    run.detach()
    until(lambda: (run.root / "up-").exists() and (run.root / "up-second").exists())
    return run


@pytest.fixture
def is_permitted() -> bool:
    """Whether this machine lets a process look into another of the same user."""
    program = stack.program_path()
    assert program is not None, "py-spy is in environments/verl-0.9/requirements-test.txt"
    # Not a child of py-spy, as a run is none.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        process = psutil.Process(other.pid)
        permitted = stack.stack_of(program, process) != stack.FORBIDDEN
        other.kill()
    return permitted


def test_each_python_process_stands_somewhere(make_run: MakeRun, is_permitted: bool) -> None:
    run = standing(make_run)
    first = run.pids()["process"]["pid"]
    second = next(c.pid for c in psutil.Process(first).children() if c.name() != "sleep")
    found = text(run)
    name = psutil.Process(first).name()
    blocks = found.strip().split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [
        f"Process {pid}, {name}" for pid in sorted((first, second))
    ]
    where = "waits_for_the_impossible (stands.py:4)" if is_permitted else stack.FORBIDDEN
    assert all(where in block for block in blocks), found


def test_without_a_wrapper_the_run_is_still_found(make_run: MakeRun) -> None:
    run = standing(make_run)
    wrapper = psutil.Process(run.pids()["wrapper"]["pid"])
    wrapper.kill()
    until(lambda: not wrapper.is_running() or wrapper.status() == psutil.STATUS_ZOMBIE)
    assert f"Process {run.pids()['process']['pid']}, " in text(run)


def test_a_run_that_has_ended_or_never_was(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(f"{sys.executable} -c pass")
    assert text(run).strip() == NOTHING
    run.finish()
    assert text(run).strip() == NOTHING
    assert stack.describe(Attempt(tmp_path / "none")) == NOTHING


def test_py_spy_is_not_there(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = standing(make_run)
    monkeypatch.setattr(stack, "program_path", lambda: None)
    assert stack.describe(Attempt(run.root)) == stack.NO_PROGRAM
    assert stack.NO_PROGRAM.startswith("py-spy is not there")


def test_py_spy_is_looked_for_beside_python_and_then_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bin", "elsewhere"):
        program = tmp_path / name / "py-spy"
        program.parent.mkdir()
        program.touch(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    assert stack.program_path() == str(tmp_path / "bin/py-spy")
    (tmp_path / "bin/py-spy").unlink()
    assert stack.program_path() == str(tmp_path / "elsewhere/py-spy")
    (tmp_path / "elsewhere/py-spy").unlink()
    assert stack.program_path() is None


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("echo 'Error: Permission Denied: Try sudo' >&2; exit 1", stack.FORBIDDEN),
        (
            "printf 'Error: no luck\\nmore\\n' >&2; exit 1",
            "py-spy could not look into it: Error: no luck",
        ),
        ("exit 3", "py-spy could not look into it: exit code 3"),
        ("exec sleep 600", "It could not be looked into within 0.3 s."),
        (
            "printf 'Process 1: x --secret\\nPython v3\\n\\nThread 1 (idle)\\n    f (x.py)\\n'",
            "Thread 1 (idle)\n    f (x.py)",
        ),
    ],
)
def test_what_py_spy_may_answer(
    does: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "SECONDS", 0.3 if "sleep" in does else PATIENCE)
    assert stack.stack_of(fake_py_spy(tmp_path, does), psutil.Process()) == said


def test_a_process_that_ended_meanwhile(tmp_path: Path) -> None:
    fake = fake_py_spy(tmp_path, "exit 1")
    ended = psutil.Popen(["true"])
    ended.wait()
    assert stack.stack_of(fake, psutil.Process()) != "It ended meanwhile."
    assert stack.stack_of(fake, ended) == "It ended meanwhile."


def fake_py_spy(folder: Path, does: str) -> str:
    path = folder / "fake-py-spy"
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return str(path)


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert stack.main([]) == 2
    assert capsys.readouterr().err == "usage: python -m trainyard_node.stack DIR\n"
