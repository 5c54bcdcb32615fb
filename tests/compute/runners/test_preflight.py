"""The preflight: what a machine answers, and what is made of it."""

import ast
import fcntl
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compute.runners.base import HostKeyRefused, LoginRefused, RunnerError, Unreachable
from compute.runners.check import judgements, preflight, probe
from compute.runners.check.judgements import Expected
from compute.runners.check.preflight import CheckReport, check_machine, usable_python
from compute.runners.ssh import setup

GIB = 1024**3
PYTHON = "/w/environments/verl-0.9/.venv/bin/python"
EXPECTED = Expected(
    name="gpu box",
    release="0.9.1",
    workdir="~/my runs",
    python=PYTHON,
    node="0.1.0",
    lock={"torch": "2.13.0", "ray": "2.60.0", "antlr4-python3-runtime": "4.9.3"},
    host="box.test",
    by_hand="ssh -p 22 ada@box.test",
)
GOOD: dict[str, Any] = {
    "account": {"uid": 1000, "home": "/home/ada", "host": "box", "cpus": 8, "system": "Linux 6"},
    "pythons": {PYTHON: {"version": "3.11.7", "makes_venvs": True}},
    "disk": {"folder": "/w", "free": 900 * GIB, "total": 1000 * GIB, "files_free": 10**7},
    "speed": {"bytes_per_second": 500e6},
    "memory": {"total": 64 * GIB, "available": 60 * GIB, "is_container": False},
    "shm": {"total": 32 * GIB, "free": 32 * GIB, "is_mount": True},
    "gpus": {
        "gpus": [
            {"index": 0, "name": "H100", "memory": 80 * GIB, "driver": "580.1"},
            {"index": 1, "name": "H100", "memory": 80 * GIB, "driver": "580.1"},
        ],
        "cards": 2,
        "cuda": "13.0",
    },
    "ports": {"opened": 32},
    "home": {"folder": "/home/ada", "is_there": True},
    "workdir": {"folder": "/home/ada/my runs", "is_there": False},
    "packages": {"torch": "2.13.0+cu130", "ray": "2.60.0", "Antlr4.python3_runtime": "4.9.3"},
    "torch": {"version": "2.13.0+cu130", "cuda": "13.0", "sees": 2},
    "verl": {"version": "0.9.1"},
    "trainyard_node": {"version": "0.1.0"},
    "ray": {"version": "2.60.0"},
}
NOT_ANSWERED = {"why": "no answer for 60 s"}


def machine(now: float = 1000.0, **parts: Any) -> Callable[[Sequence[str], bytes, float], bytes]:
    """A fake machine that gives these answers; a part that is an error says why."""

    def fake_ask(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        if list(argv) == ["true"]:
            return b""
        assert list(argv)[:2] == ["python3", "-"]
        assert b"_all_at_once" in stdin
        found = {
            name: part if isinstance(part, dict) and "why" in part and len(part) == 1 else
            {"data": part}
            for name, part in (GOOD | parts).items()
            if part is not None
        }  # fmt: skip
        return json.dumps({"parts": found, "now": now}).encode()

    return fake_ask


def checked(expected: Expected = EXPECTED, now: float = 1000.0, **parts: Any) -> CheckReport:
    return check_machine(machine(now, **parts), expected, now=lambda: 1000.0)


def outcome(found: CheckReport, name: str) -> tuple[str, str, str, str]:
    line = next(line for line in found.lines if line.name == name)
    return line.outcome, line.found, line.says, line.fix


def test_a_python_that_ray_starts_no_workers_by_is_told() -> None:
    spaced = "/w/my runs/environments/verl-0.9/.venv/bin/python"
    pythons = {spaced: {"version": "3.12.1", "makes_venvs": True}}
    found = outcome(checked(replace(EXPECTED, python=spaced), pythons=pythons), "ray")
    assert found[0] == "fail"
    assert "spaces or quotes" in found[2]
    assert found[3] == "manage.py machine setup 'gpu box'"


def test_a_good_machine_passes_everything() -> None:
    found = checked()
    assert [(line.name, line.outcome) for line in found.lines] == [
        (name, "pass") for name in preflight.LABELS
    ]
    assert found.is_good
    assert outcome(found, "gpus")[1] == "2 x H100, 80.0 GiB; driver 580.1"
    assert outcome(found, "workdir")[1] == (
        "/home/ada/my runs can be written to, which will be made"
    )
    assert "packages" not in found.facts


@pytest.mark.parametrize(
    ("name", "parts", "says", "fix"),
    [
        ("disk", {"disk": GOOD["disk"] | {"free": 5 * GIB}},
         "An environment and one checkpoint need 20.0 GiB.",
         "du -xh --max-depth=1 /w | sort -h | tail"),
        ("disk", {"disk": GOOD["disk"] | {"files_free": 10}},
         "Only 10 more files fit there.", "du -xh --max-depth=1 /w | sort -h | tail"),
        ("speed", {"speed": {"bytes_per_second": 1e6}},
         "Checkpoints will take long. Choose a work folder on a faster disk.",
         "df -h --output=source,fstype,avail,target"),
        ("memory", {"memory": GOOD["memory"] | {"available": GIB}},
         "Less than 4.0 GiB is free: importing verl alone takes one.",
         "ps -eo rss,pid,user,args --sort=-rss | head"),
        ("shm", {"shm": {"total": 64 * 1024**2, "free": 1, "is_mount": True}},
         "Ray and data loaders share tensors there. In a container, start it with this option.",
         "--shm-size=16g"),
        ("gpus", {"gpus": {"gpus": [], "cards": 8, "why": "there is no nvidia-smi"}},
         "There is an NVIDIA card and no driver that serves it: there is no nvidia-smi.",
         "nvidia-smi"),
        ("cuda", {"torch": {"version": "2.13.0+cu130", "cuda": "13.0", "sees": 0}},
         "torch 2.13.0+cu130 is built for CUDA 13.0 and sees 0 of 2 GPUs. The driver may be too "
         "old for it.", "nvidia-smi"),
        ("cuda", {"torch": {"version": "2.13.0+cpu", "cuda": None, "sees": 0}},
         "torch 2.13.0+cpu is built for the CPU and sees no GPU.",
         f"{PYTHON} -m pip install --force-reinstall torch"),
        ("python", {"pythons": {PYTHON: {"version": "3.10.1", "makes_venvs": True}}},
         "The training environment needs Python 3.11 or 3.12.",
         "manage.py machine setup 'gpu box'"),
        ("python", {"pythons": {}}, f"There is no Python at {PYTHON} that this user can run.",
         "manage.py machine setup 'gpu box'"),
        ("packages", {"packages": {"torch": "2.12.0", "ray": "2.60.0"}},
         "torch 2.12.0 (lock: 2.13.0), antlr4-python3-runtime missing (lock: 4.9.3)",
         "manage.py machine setup 'gpu box'"),
        ("verl", {"verl": {"version": "0.8.0"}}, "0.9.1 is expected here, 0.8.0 is there.",
         "manage.py machine setup 'gpu box'"),
        ("node", {"trainyard_node": {"why": "ModuleNotFoundError: No module named 'psutil'"}},
         "It cannot be imported: ModuleNotFoundError: No module named 'psutil'",
         "manage.py machine setup 'gpu box'"),
        ("ray", {"ray": {"why": "ModuleNotFoundError: No module named 'ray'"}},
         "It cannot be imported: ModuleNotFoundError: No module named 'ray'",
         "manage.py machine setup 'gpu box'"),
        ("workdir", {"workdir": {"why": "Permission denied: /srv"}},
         "Nothing can be written there: Permission denied: /srv.",
         "ls -ld ~/'my runs'; chown \"$(id -un)\" ~/'my runs'"),
        ("ports", {"ports": {"why": "Address already in use"}},
         "Ports cannot be opened on the loopback address: Address already in use.",
         "sysctl net.ipv4.ip_local_port_range; ulimit -n"),
    ],
)  # fmt: skip
def test_each_fault_has_a_sentence_and_a_fix(
    name: str, parts: dict[str, Any], says: str, fix: str
) -> None:
    found = checked(**parts)
    assert outcome(found, name)[0] == "fail"
    assert outcome(found, name)[2:] == (says, fix)
    assert [line.name for line in found.failed] == [name]
    assert not found.is_good


@pytest.mark.parametrize("part", [name for name in GOOD if name != "torch"])
@pytest.mark.parametrize("answer", [NOT_ANSWERED, None])
def test_what_was_not_answered_is_unknown_and_never_passes(part: str, answer: Any) -> None:
    found = checked(**{part: answer})
    names = {"account": ["login", "rights"], "pythons": ["python"], "gpus": ["gpus", "cuda"],
             "trainyard_node": ["node"]}  # fmt: skip
    unknown = [line.name for line in found.lines if line.outcome == "unknown"]
    assert unknown == names.get(part, [part])
    assert not found.is_good


def test_cuda_is_unknown_before_there_is_a_torch() -> None:
    assert outcome(checked(torch=None), "cuda") == (
        "unknown",
        "the driver has CUDA 13.0",
        "Whether torch can use it is not known: there is none yet.",
        "",
    )


def test_a_machine_without_a_card_passes_and_says_so() -> None:
    found = checked(gpus={"gpus": [], "cards": 0, "why": "there is no nvidia-smi"})
    assert outcome(found, "gpus")[:2] == ("pass", "none")
    assert outcome(found, "cuda")[:2] == ("pass", "none")


def test_before_the_set_up_there_is_no_environment() -> None:
    expected = Expected("gpu box", "0.9.1", "~/runs", node="0.1.0")
    parts: dict[str, Any] = dict.fromkeys(("packages", "torch", "verl", "trainyard_node", "ray"))
    pythons = {"python3": {"version": "3.12.1", "makes_venvs": True}}
    found = checked(expected, pythons=pythons, **parts)
    assert [line.name for line in found.failed] == ["packages", "verl", "node", "ray"]
    assert outcome(found, "verl") == (
        "fail", "none yet", "There is no training environment yet.",
        "manage.py machine setup 'gpu box'",
    )  # fmt: skip
    assert outcome(found, "python")[:2] == ("pass", "python3 is 3.12.1")
    assert usable_python(found.facts) == "python3"


@pytest.mark.parametrize(
    ("pythons", "fix"),
    [
        ({"python3": {"version": "3.9.2", "makes_venvs": True}}, "uv python install 3.12"),
        ({}, "uv python install 3.12"),
        ({"python3": {"version": "3.12.3", "makes_venvs": False}},
         "apt-get install python3.12-venv"),
    ],
)  # fmt: skip
def test_a_python_that_makes_no_environment(pythons: dict[str, Any], fix: str) -> None:
    found = checked(Expected("box", "0.9.1", "~/runs"), pythons=pythons)
    assert outcome(found, "python")[0] == "fail"
    assert outcome(found, "python")[3] == fix
    assert usable_python(found.facts) is None


def test_an_environment_of_the_users_own_is_mended_by_pip() -> None:
    own = Expected(
        "box", "0.9.1", "~/runs", python="/opt/my env/bin/python", is_own=False,
        lock={"torch": "2.13.0"}, node="0.1.0",
    )  # fmt: skip
    pythons = {"/opt/my env/bin/python": {"version": "3.11.7", "makes_venvs": True}}
    found = checked(own, pythons=pythons, packages={}, verl={"version": "0.8.0"})
    assert outcome(found, "packages")[3] == "'/opt/my env/bin/python' -m pip install torch==2.13.0"
    assert outcome(found, "verl")[3] == "'/opt/my env/bin/python' -m pip install verl==0.9.1"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (1029.0, ("pass", "29.0 s ahead of the platform's")),
        (1031.0, ("fail", "31.0 s ahead of the platform's")),
        (940.0, ("fail", "60.0 s behind the platform's")),
    ],
)
def test_the_clock(now: float, expected: tuple[str, str]) -> None:
    assert outcome(checked(now=now), "clock")[:2] == expected


@pytest.mark.parametrize(
    ("error", "passed", "failed"),
    [
        (Unreachable("It is off."), [], "reach"),
        (HostKeyRefused("Its key changed."), ["reach"], "host_key"),
        (LoginRefused("It refuses the password."), ["reach", "host_key"], "login"),
    ],
)
def test_without_a_connection_the_rest_is_unknown(
    error: Unreachable, passed: list[str], failed: str
) -> None:
    def fake_ask(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        raise error

    found = check_machine(fake_ask, EXPECTED)
    assert [line.name for line in found.lines if line.outcome == "pass"] == passed
    assert [line.name for line in found.failed] == [failed]
    assert outcome(found, failed)[2] == str(error)
    assert outcome(found, failed)[3]
    assert found.facts == {}


@pytest.mark.parametrize("said", [b"", b"Welcome!", b"[]", b'{"parts": {}}', b'{"now": 1}'])
def test_an_answer_that_is_none_is_told(said: bytes) -> None:
    found = check_machine(lambda argv, stdin, within: said, EXPECTED)
    assert outcome(found, "python")[0] == "fail"
    assert "cannot be read" in outcome(found, "python")[2]
    assert outcome(found, "disk")[0] == "unknown"


def test_words_before_the_answer_do_no_harm() -> None:
    def fake_ask(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        return b"Welcome to box\n" + machine()(argv, stdin, within)

    assert check_machine(fake_ask, EXPECTED, now=lambda: 1000.0).is_good


def test_without_python3_the_named_python_is_asked() -> None:
    def fake_ask(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
        if argv[0] == "python3":
            raise RunnerError("python3: command not found")
        return machine()(["python3", *argv[1:]] if argv[0] == PYTHON else argv, stdin, within)

    assert check_machine(fake_ask, EXPECTED, now=lambda: 1000.0).is_good


def test_the_lock_is_read_and_compared_as_pip_does() -> None:
    lock = judgements.read_lock(
        "# a lock\nTorch==2.13.0  # why\nA_b.c==1 ; python_version > '3'\n\n"
    )
    assert lock == {"Torch": "2.13.0", "A_b.c": "1"}
    assert judgements.differing({"torch": "2.13.0+cpu", "a-b-c": "1"}, lock) == []
    assert judgements.differing({"torch": "2.13.1"}, lock) == [
        ("Torch", "2.13.1", "2.13.0"),
        ("A_b.c", None, "1"),
    ]


# The program itself, on this machine.


def ask_the_program(tmp_path: Path, **asked: Any) -> dict[str, Any]:
    whole = {"python": "", "workdir": str(tmp_path / "my runs"), "within": 30} | asked
    done = subprocess.run(
        [sys.executable, "-", json.dumps(whole)], input=preflight.PROGRAM.read_bytes(),
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)["parts"]
    return found


def test_the_program_keeps_to_python_3_8_and_the_standard_library() -> None:
    for program in (preflight.PROGRAM, setup.PROGRAM):
        tree = ast.parse(program.read_text(), feature_version=(3, 8))
        names = {
            name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else
                         [alias.name for alias in node.names])
        }  # fmt: skip
        assert names <= set(sys.stdlib_module_names), program.name


def test_the_program_answers_every_part_and_leaves_nothing(tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    found = ask_the_program(tmp_path, python=sys.executable)
    why = {name: part["why"] for name, part in found.items() if "why" in part}
    assert set(why) == {"torch", "verl", "trainyard_node", "ray"}, "the platform's has none"
    assert why["verl"] == "ModuleNotFoundError: No module named 'verl'"
    assert found["workdir"]["data"] == {"folder": str(tmp_path / "my runs"), "is_there": False}
    assert found["packages"]["data"]["Django"] == "5.2.19"
    assert found["account"]["data"]["uid"] == os.getuid()
    assert sorted(tmp_path.iterdir()) == before


def test_a_part_that_hangs_holds_up_nothing_else(tmp_path: Path) -> None:
    hung = threading.Event()

    def hang() -> None:
        hung.wait()

    found = probe._all_at_once({"hangs": (hang, 0.3), "answers": (lambda: 1, 20)})
    assert found == {"hangs": {"why": "no answer for 0 s"}, "answers": {"data": 1}}


def test_a_part_that_dies_is_told() -> None:
    found = probe._all_at_once({"dies": (lambda: os._exit(3), 20)})
    assert found == {"dies": {"why": "it ended without an answer"}}


def test_gpus_are_read_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text(
        "#!/bin/sh\n"
        'if [ -n "$1" ]; then echo "0, NVIDIA H100 80GB HBM3, 81559, 580.65.06"; '
        'echo "1, NVIDIA H100, [N/A], 580.65.06"; '
        'else echo "| NVIDIA-SMI 580.65.06   Driver Version: 580.65.06  CUDA Version: 13.0 |"; fi\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert probe.gpus() == {
        "gpus": [
            {"index": 0, "name": "NVIDIA H100 80GB HBM3", "memory": 81559 * 1024**2,
             "driver": "580.65.06"},
            {"index": 1, "name": "NVIDIA H100", "memory": None, "driver": "580.65.06"},
        ],
        "cards": 2,
        "cuda": "13.0",
    }  # fmt: skip
    fake.write_text("#!/bin/sh\necho No devices were found\nexit 6\n")
    assert probe.gpus() == {"gpus": [], "cards": 1, "why": "No devices were found"}


def test_a_folder_without_locks_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    assert probe.writable(str(tmp_path))["is_there"]
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No locks available"):
        probe.writable(str(tmp_path))


def test_a_folder_that_does_not_give_back_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(io.BytesIO):
        def fileno(self) -> int:
            return 0

        def read(self, size: int | None = -1) -> bytes:
            return b"other"

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: Forgetful())
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with pytest.raises(RuntimeError, match="is not what was written"):
        probe.writable(str(tmp_path))
