"""Fixtures of the node's tests: attempt directories, wrappers that are always cleaned up, and
one sample directory, SFT run and GRPO run shared by all who look at them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import commands
import psutil
import pytest
from filelock import FileLock

PATIENCE = 30.0
SHARED_RUNS = {"sft_run", "grpo_run"}
ALONE = {"leg"}  # who starts runs of its own shares them with nobody
SHARED_LEGS = {"sft_legs"}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two that test side by side, one has all that look at the shared runs: each runs once.
    What really trains comes first, so that the short tests fill up the end.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=lambda item: item.get_closest_marker("verl") is None)


def group_of(item: pytest.Item) -> str:
    names = set(getattr(item, "fixturenames", ()))
    if names & SHARED_RUNS:
        return "the shared runs"
    if names & ALONE and not names & SHARED_LEGS:
        return item.name
    return item.path.name


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true answer of `condition`; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s: {condition}")


SAVE_TIME, VALIDATION_TIME = "timing_s/save_checkpoint", "timing_s/validate"


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Run:
    """An attempt directory with its script, and the node's programs to use on it."""

    def __init__(self, root: Path, script: str) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        (root / "run.sh").write_text(script)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        quick = ["--heartbeat-seconds", "0.1", "--sample-seconds", "0.2"]
        process = subprocess.Popen(
            [sys.executable, "-m", "trainyard_node.run", str(self.root), *quick, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._started.append(process)
        return process

    def detach(self, *options: str) -> None:
        process = self.start("--detach", *options)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors

    def finish(self, *options: str) -> int:
        return self.start(*options).wait(timeout=PATIENCE)

    def tool(self, name: str, *options: str) -> dict[str, Any]:
        command = [sys.executable, "-m", f"trainyard_node.{name}", str(self.root), *options]
        answer: dict[str, Any] = json.loads(subprocess.check_output(command, timeout=PATIENCE))
        return answer

    def pids(self) -> dict[str, Any]:
        until((self.root / "pid").exists)
        content: dict[str, Any] = json.loads((self.root / "pid").read_text())
        return content

    def written(self, name: str) -> int:
        """The pid that the script wrote to the file `name`."""
        path = self.root / name
        return int(until(lambda: path.exists() and path.read_text().strip()))

    def exit_code(self, seconds: float = PATIENCE) -> int:
        path = self.root / "exit_code"
        until(path.exists, seconds)
        return int(path.read_text())

    def step_lines(self) -> list[dict[str, Any]]:
        """One a step. How long a save or a validation took is in a line of its own, except in
        RL."""
        found = read_lines(self.root / "metrics.jsonl")
        return [line for line in found if not {SAVE_TIME, VALIDATION_TIME}.issuperset(line["data"])]

    def kinds(self) -> list[str]:
        return [event["kind"] for event in read_lines(self.root / "events.jsonl")]

    def clean_up(self) -> None:
        """End what is left, by the pids of this run only."""
        for started in self._started:
            started.kill() if started.poll() is None else None
            started.communicate()
        if not (self.root / "pid").exists():
            return
        mark = self.pids()["mark"]
        for process in psutil.process_iter():
            try:
                if process.environ().get("TRAINYARD_ATTEMPT") == mark:
                    process.send_signal(signal.SIGKILL)
            except (psutil.Error, OSError):
                continue


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    made: list[Run] = []

    def make(script: str) -> Run:
        made.append(Run(tmp_path / f"attempt-{len(made) + 1}", script))
        return made[-1]

    yield make
    for run in made:
        run.clean_up()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Made once for all processes that test side by side: a second call only describes them."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    command = [sys.executable, "-m", "trainyard_node.samples", str(folder / "made/samples")]
    with FileLock(folder / "samples.lock"):
        (folder / "made").mkdir(exist_ok=True)
        made = subprocess.check_output(command, timeout=600)
    description: dict[str, Any] = json.loads(made)
    return description


def train(root: Path, command: commands.Command, seconds: float) -> Run:
    """Run a trainer under the wrapper; the log's end is in the failure if it does not exit 0."""
    run = Run(root, command.script(root))
    try:
        run.detach()
        code = run.exit_code(seconds)
        log = (root / "train.log").read_text(errors="replace")
        assert code == 0, log[-6000:]
    finally:
        run.tool("stop", "--grace", "5")
        run.clean_up()
    return run


@pytest.fixture(scope="session")
def sft_run(samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("sft")
    command = commands.sft(Path(samples["directory"]), root)
    return train(root, commands.recorded(command, root), 240)


@pytest.fixture(scope="session")
def grpo_run(samples: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("grpo")
    command = commands.grpo(Path(samples["directory"]), root)
    return train(root, commands.recorded(command, root), 420)


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """The environment without anything that chooses a platform for verl."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VERL_")}
