"""Stopping: by proof of identity only."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from conftest import Run, is_gone, until
from test_wrapper import STUBBORN
from trainyard_node.attempt import Lines
from trainyard_node.identity import Identity, identify, is_alive

MakeRun = Callable[[str], Run]
DEAF = STUBBORN + "trap '' TERM; echo up > up; while :; do sleep 0.05; done"


def rewrite(run: Run, change: Callable[[dict[str, Any]], None]) -> None:
    pids = run.pids()
    change(pids)
    (run.root / "pid").write_text(json.dumps(pids))


def orphan(run: Run) -> dict[str, Any]:
    """Start the run detached, then take its wrapper away."""
    run.detach()
    until((run.root / "up").exists)
    pids: dict[str, Any] = run.pids()
    os.kill(pids["wrapper"]["pid"], signal.SIGKILL)
    until(lambda: is_gone(pids["wrapper"]["pid"]))
    return pids


def test_stop_returns_at_once_and_the_wrapper_does_the_rest(make_run: MakeRun) -> None:
    run = make_run("exec sleep 60")
    run.detach()
    assert run.tool("stop")["signalled"] == "wrapper"
    assert run.exit_code() == 143
    assert run.tool("stop")["signalled"] == "nothing"
    assert run.tool("alive") == {"wrapper": False, "process": False, "exit_code": 143}


def test_stop_ends_a_run_whose_wrapper_was_killed(make_run: MakeRun) -> None:
    run = make_run(DEAF)
    pids = orphan(run)
    assert run.tool("alive") == {"wrapper": False, "process": True, "exit_code": None}
    answer = run.tool("stop", "--grace", "0.3")
    assert answer["signalled"] == "process"
    assert answer["left"] == []
    assert is_gone(pids["process"]["pid"])
    assert is_gone(run.written("stubborn")), "it left the session, its mark gave it away"
    assert not (run.root / "exit_code").exists(), "nobody saw how the run would have ended"


def test_stop_finds_what_outlived_wrapper_and_process(make_run: MakeRun) -> None:
    run = make_run(DEAF)
    pids = orphan(run)
    os.kill(pids["process"]["pid"], signal.SIGKILL)
    until(lambda: is_gone(pids["process"]["pid"]))
    stubborn = run.written("stubborn")
    assert not is_gone(stubborn)
    assert run.tool("stop", "--grace", "0")["signalled"] == "process"
    assert is_gone(stubborn)


def test_a_recycled_pid_is_never_hit(make_run: MakeRun) -> None:
    run = make_run(DEAF)
    pids = orphan(run)

    def recycle(content: dict[str, Any]) -> None:
        content["process"]["started"] += 1

    rewrite(run, recycle)
    assert run.tool("alive")["process"] is False
    assert run.tool("stop", "--grace", "0")["signalled"] == "nothing"
    assert not is_gone(pids["process"]["pid"])


def test_a_recycled_wrapper_pid_is_never_hit(make_run: MakeRun) -> None:
    run = make_run("exit 0")
    run.finish()
    bystander = psutil.Popen(["sleep", "60"])
    try:
        rewrite(run, lambda pids: pids["wrapper"].update(pid=bystander.pid, started=1))
        assert run.tool("stop", "--grace", "0")["signalled"] == "nothing"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_pids_of_another_boot_mean_nothing(make_run: MakeRun) -> None:
    run = make_run("exec sleep 60")
    run.detach()
    true_boot = run.pids()["boot_id"]
    rewrite(run, lambda pids: pids.update(boot_id="another"))
    assert run.tool("alive") == {"wrapper": False, "process": False, "exit_code": None}
    assert run.tool("stop")["signalled"] == "nothing"
    rewrite(run, lambda pids: pids.update(boot_id=true_boot))
    assert run.tool("stop", "--grace", "0")["signalled"] == "wrapper"
    run.exit_code()


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"wrapper": 1}'])
def test_a_missing_or_broken_pid_file(make_run: MakeRun, content: str | None) -> None:
    run = make_run("exit 0")
    if content is not None:
        (run.root / "pid").write_text(content)
    assert run.tool("stop")["signalled"] == "nothing"
    assert run.tool("alive") == {"wrapper": False, "process": False, "exit_code": None}
    (run.root / "pid").unlink(missing_ok=True)


def test_a_run_whose_directory_was_removed_is_seen_and_ended(make_run: MakeRun) -> None:
    """The pid file is gone with it; what the run's processes inherited is not."""
    run = make_run("exec sleep 60")
    run.detach()
    wrapper, process = (run.pids()[part]["pid"] for part in ("wrapper", "process"))
    shutil.rmtree(run.root)
    assert run.tool("alive") == {"wrapper": False, "process": True, "exit_code": None}
    answer = run.tool("stop", "--grace", "5")
    assert (answer["signalled"], answer["pids"], answer["left"]) == ("process", [process], [])
    assert run.tool("alive") == {"wrapper": False, "process": False, "exit_code": None}
    until(lambda: is_gone(wrapper))  # it has nowhere to put its verdict, and knows it
    assert not run.root.exists()


def test_a_trainer_whose_directory_is_below_the_runs_is_seen_and_ended(make_run: MakeRun) -> None:
    """As the trainer of a dry-fire, which has a directory and a session of its own."""
    run = make_run(
        "TRAINYARD_RUN_DIR=$PWD/dryfire TRAINYARD_ATTEMPT= setsid sleep 60 & echo $! > trainer\n"
        "TRAINYARD_RUN_DIR=${PWD}0 TRAINYARD_ATTEMPT= setsid sleep 60 & echo $! > other\n"
        "echo up > up; wait"
    )
    pids = orphan(run)
    os.kill(pids["process"]["pid"], signal.SIGKILL)
    until(lambda: is_gone(pids["process"]["pid"]))
    trainer, other = run.written("trainer"), run.written("other")
    try:
        (run.root / "pid").unlink()
        assert run.tool("alive")["process"] is True
        assert run.tool("stop", "--grace", "5")["pids"] == [trainer]
        assert is_gone(trainer)
        assert run.tool("alive")["process"] is False
        assert not is_gone(other)
    finally:
        os.kill(other, signal.SIGKILL)


LEAVES = """
exec {python} -c '
import time
from pathlib import Path
from trainyard_node import discard
root = Path.cwd()
folders = [root / "dryfire/checkpoints", root / "kept", root.parent / "outside"]
for folder in folders:
    folder.mkdir(parents=True)
discard.announce([folders[0], folders[2], root / "link", Path("relative")])
(root / "link").symlink_to(folders[1])
Path("up").touch()
time.sleep(60)
'
"""


@pytest.mark.parametrize("who", ["the wrapper", "stop", "stop afterwards"])
def test_what_a_killed_run_announced_is_deleted(make_run: MakeRun, who: str) -> None:
    run = make_run(LEAVES.format(python=sys.executable))
    if who == "the wrapper":
        run.detach("--grace", "0")
        until((run.root / "up").exists)
        process = run.pids()["process"]["pid"]
        os.kill(process, signal.SIGKILL)
        assert run.exit_code() == 128 + signal.SIGKILL
    else:
        pids = orphan(run)
        if who == "stop afterwards":
            os.kill(pids["process"]["pid"], signal.SIGKILL)
            until(lambda: is_gone(pids["process"]["pid"]))
        run.tool("stop", "--grace", "0")
    assert not (run.root / "dryfire/checkpoints").exists()
    assert (run.root / "kept").is_dir(), "a link is not followed"
    assert (run.root.parent / "outside").is_dir(), "only what is the run's own"


def test_identity_of_a_zombie_and_of_a_stranger() -> None:
    child = psutil.Popen(["true"])
    until(lambda: child.status() == psutil.STATUS_ZOMBIE)
    assert identify(child.pid) is None
    child.wait()
    own = identify(os.getpid())
    assert own is not None
    assert is_alive(own)
    assert not is_alive(Identity(own.pid, own.started - 1))


def test_lines_close_off_a_torn_one(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines(tmp_path / "lines.jsonl")
    whole = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[:5]))
    assert lines.append({"n": 1}) is False
    monkeypatch.setattr(os, "write", whole)
    assert lines.append({"n": 2}) is True
    torn, good = (tmp_path / "lines.jsonl").read_text().splitlines()
    assert len(torn) == 5
    assert json.loads(good)["n"] == 2
