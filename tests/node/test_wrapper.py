"""The run wrapper: what it starts, what it writes, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import PATIENCE, Run, is_gone, read_lines, until

MakeRun = Callable[[str], Run]

# Leaves the session and does not listen to SIGTERM; only a SIGKILL by pid ends it.
STUBBORN = """
(setsid bash -c 'trap "" TERM; echo $BASHPID > stubborn; while :; do sleep 0.2; done' &)
until [ -s stubborn ]; do sleep 0.02; done
"""


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("exec false", 1), ("nosuch", 127)],
)
def test_exit_code_is_the_runs(make_run: MakeRun, script: str, code: int) -> None:
    run = make_run(script)
    assert run.finish() == code
    assert (run.root / "exit_code").read_text() == f"{code}\n"


def test_log_is_byte_exact(make_run: MakeRun) -> None:
    run = make_run(r"printf 'a\r\n\xff\x00end'; printf 'to stderr' >&2")
    run.finish()
    assert (run.root / "train.log").read_bytes() == b"a\r\n\xff\x00endto stderr"


def test_log_of_a_former_content_is_kept(make_run: MakeRun) -> None:
    run = make_run("echo new")
    (run.root / "train.log").write_bytes(b"old\n")
    run.finish()
    assert (run.root / "train.log").read_bytes() == b"old\nnew\n"


def test_pid_file_names_wrapper_and_process(make_run: MakeRun) -> None:
    run = make_run("echo $$ > own; exec sleep 60")
    wrapper = run.start()
    pids = run.pids()
    assert pids["wrapper"]["pid"] == wrapper.pid
    assert pids["process"]["pid"] == pids["process"]["pgid"] == run.written("own")
    assert os.getsid(pids["process"]["pid"]) == pids["process"]["pid"]
    assert set(pids) == {"wrapper", "process", "host", "boot_id", "mark"}
    assert run.tool("alive") == {"wrapper": True, "process": True, "exit_code": None}


def test_heartbeat_goes_on_and_samples_come_soon(make_run: MakeRun) -> None:
    run = make_run("exec sleep 60")
    run.start()
    heartbeat = run.root / "heartbeat"
    first = until(lambda: heartbeat.exists() and float(heartbeat.read_text()))
    assert abs(first - time.time()) < PATIENCE
    until(lambda: float(heartbeat.read_text()) > first)
    until(lambda: (run.root / "system.jsonl").exists() and read_lines(run.root / "system.jsonl"))
    sample = read_lines(run.root / "system.jsonl")[0]
    assert set(sample) == {
        "at", "cpu_percent", "memory_used", "memory_total", "disk_used", "disk_total",
        "process_cpu_percent", "process_memory", "network_sent", "network_received", "gpus",
    }  # fmt: skip
    assert 0 < sample["memory_used"] < sample["memory_total"]
    assert sample["process_memory"] > 0
    assert sample["network_sent"] is None or sample["network_sent"] >= 0


def test_events_and_order_of_the_verdict(make_run: MakeRun) -> None:
    run = make_run("exit 3")
    run.finish()
    events = read_lines(run.root / "events.jsonl")
    assert [event["kind"] for event in events] == ["started", "exited"]
    assert events[-1]["exit_code"] == 3
    last = (run.root / "exit_code").stat().st_mtime_ns
    others = [path for path in run.root.iterdir() if path.name != "exit_code"]
    assert all(path.stat().st_mtime_ns <= last for path in others)


def test_exit_code_appears_only_after_every_descendant_is_gone(make_run: MakeRun) -> None:
    run = make_run(STUBBORN + "exit 4")
    run.start()
    stubborn = run.written("stubborn")
    assert run.exit_code() == 4
    assert is_gone(stubborn)
    assert "leftovers_ended" in run.kinds()


def test_checkpoints_are_told(make_run: MakeRun) -> None:
    run = make_run(
        "mkdir -p checkpoints/global_step_5; echo 5 > checkpoints/latest_checkpointed_iteration.txt"
    )
    (run.root / "checkpoints/global_step_2").mkdir(parents=True)
    (run.root / "checkpoints/latest_checkpointed_iteration.txt").write_text("2")
    run.finish()
    told = [e["step"] for e in read_lines(run.root / "events.jsonl") if e["kind"] == "checkpoint"]
    assert told == [5]


@pytest.mark.parametrize("make", ["mkdir", "mkfifo", "ln -s /dev/zero", "ln -s nowhere/at/all"])
def test_what_a_run_puts_in_the_place_of_its_files_holds_nothing_up(
    make_run: MakeRun, make: str
) -> None:
    run = make_run(f"""
mkdir -p checkpoints control; until [ -s heartbeat ]; do sleep 0.02; done
for name in events.jsonl system.jsonl heartbeat pid .heartbeat.part exit_code .exit_code.part \\
    control/stop checkpoints/latest_checkpointed_iteration.txt; do
  rm -rf "$name"; {make} "$name"
done
echo ready > up; until [ -e go ]; do sleep 0.02; done; rm -rf pid; exit 6
""")
    wrapper = run.start()
    until((run.root / "up").exists)
    assert run.tool("alive")["wrapper"] is False  # nobody knows it any more
    (run.root / "go").touch()
    assert wrapper.wait(timeout=PATIENCE) == 6
    assert (run.root / "exit_code").read_text() == "6\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_wrapper_ends_the_run_kindly(make_run: MakeRun, signum: int) -> None:
    run = make_run("trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    wrapper = run.start()
    until(lambda: (run.root / "train.log").exists() and (run.root / "train.log").read_bytes())
    wrapper.send_signal(signum)
    assert wrapper.wait(timeout=PATIENCE) == 9
    assert (run.root / "train.log").read_bytes().endswith(b"bye\n")
    assert run.kinds() == ["started", "stop_asked", "exited"]


def test_a_closed_terminal_ends_nothing(make_run: MakeRun) -> None:
    run = make_run("until [ -e go ]; do sleep 0.05; done; exit 5")
    wrapper = run.start()
    run.pids()
    until(lambda: "started" in run.kinds())
    wrapper.send_signal(signal.SIGHUP)
    (run.root / "go").touch()
    assert wrapper.wait(timeout=PATIENCE) == 5


def test_who_does_not_listen_is_killed_after_the_grace(make_run: MakeRun) -> None:
    run = make_run(STUBBORN + "trap '' TERM; echo ready > up; while :; do sleep 0.05; done")
    run.start("--grace", "60")
    run.written("stubborn")
    until((run.root / "up").exists)
    answer = run.tool("stop", "--grace", "0.3")
    assert answer["signalled"] == "wrapper"
    assert run.exit_code() == 137
    assert is_gone(run.written("stubborn"))
    assert run.kinds()[:3] == ["started", "stop_asked", "killed"]


def test_an_attempt_starts_once_even_when_many_try(make_run: MakeRun) -> None:
    run = make_run("echo started >> count; sleep 0.5")
    wrappers = [run.start() for _ in range(4)]
    codes = sorted(wrapper.wait(timeout=PATIENCE) for wrapper in wrappers)
    assert codes == [0, 1, 1, 1]
    assert (run.root / "count").read_text() == "started\n"
    assert run.finish() == 1, "nor once it has ended"


def test_detached_wrapper_outlives_its_starter(make_run: MakeRun) -> None:
    run = make_run("until [ -e go ]; do sleep 0.05; done; exit 6")
    run.detach()
    pids = json.loads((run.root / "pid").read_text())
    wrapper = psutil.Process(pids["wrapper"]["pid"])
    assert os.getsid(wrapper.pid) not in (os.getsid(0), os.getsid(pids["process"]["pid"]))
    assert {str(Path(f"/proc/{wrapper.pid}/fd/{fd}").readlink()) for fd in (0, 1, 2)} == {
        "/dev/null"
    }
    assert not [p for p in psutil.Process().children() if p.pid == wrapper.pid]
    (run.root / "go").touch()
    assert run.exit_code() == 6
    until(lambda: is_gone(wrapper.pid))


def test_detach_tells_why_it_could_not_start(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("exit 0")
    run.detach()
    again = run.start("--detach")
    _, errors = again.communicate(timeout=PATIENCE)
    assert again.returncode == 1
    assert b"started already" in errors
    empty = subprocess.run(
        [sys.executable, "-m", "trainyard_node.run", str(tmp_path / "none"), "--detach"],
        capture_output=True,
        check=False,
    )
    assert empty.returncode == 1
    assert b"run.sh" in empty.stderr


def test_a_full_disk_ends_neither_wrapper_nor_run(make_run: MakeRun) -> None:
    run = make_run("until [ -e go ]; do sleep 0.05; done; echo done; exit 2")
    for name in ("system.jsonl", "events.jsonl", ".heartbeat.part"):
        (run.root / name).symlink_to("/dev/full")
    wrapper = run.start()
    run.pids()
    with pytest.raises(subprocess.TimeoutExpired):
        wrapper.wait(timeout=0.7)
    (run.root / "go").touch()
    assert wrapper.wait(timeout=PATIENCE) == 2
    assert (run.root / "exit_code").read_text() == "2\n"
    assert (run.root / "train.log").read_bytes() == b"done\n"


def test_start_up_imports_little() -> None:
    code = (
        "import sys, trainyard_node.run, trainyard_node.supervisor;"
        "heavy = {'torch', 'verl', 'ray', 'transformers', 'django', 'numpy', 'pynvml'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code]) == b"[]\n"
