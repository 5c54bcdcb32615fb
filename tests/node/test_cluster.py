"""Parts of a Ray over two addresses of this machine: up, joined, and gone with their run."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Run, is_gone, until

MakeRun = Callable[[str], Run]
HEAD, OTHER = "127.0.0.2", "127.0.0.3"  # Ray takes 127.0.0.1 for the machine's outer address


class Part:
    """One machine's part, by its folder."""

    def __init__(self, root: Path, token: str) -> None:
        self.root = root
        self.env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        self.env |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1", "RAY_USAGE_STATS_ENABLED": "0"}
        self.env["RAY_prestart_worker_first_driver"] = "0"  # no idle workers
        self.env["RAY_gcs_rpc_server_reconnect_timeout_s"] = "5"  # quicker than in earnest

    def tool(self, do: str, *argv: str) -> dict[str, Any]:
        cluster = [sys.executable, "-m", "trainyard_node.cluster"]
        done = subprocess.run(
            [*cluster, do, str(self.root), *argv],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def start(self, do: str, address: str, *argv: str) -> None:
        small = ["--cpus", "8", "--memory", "80000000"]
        answer = self.tool(do, "--address", address, *argv, "--gpus", "1", *small)
        assert answer["alive"]

    def pids(self) -> list[int]:
        """Its keeper and all below it."""
        keeper = psutil.Process(json.loads((self.root / "pid").read_text())["wrapper"]["pid"])
        return [keeper.pid, *(child.pid for child in keeper.children(recursive=True))]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[tuple[Part, Part]]:
    token = secrets.token_hex(16)
    made = Part(tmp_path / "head", token), Part(tmp_path / "other", token)
    yield made
    for part in made:
        if (part.root / "pid").exists():
            part.tool("down")


def up(parts: tuple[Part, Part], run: Run) -> list[int]:
    """Both parts joined; the ids of all their processes."""
    head, other = parts
    head.start("head", HEAD, "--run", str(run.root))
    address = until(lambda: head.tool("look")["address"])
    other.start("join", OTHER, "--at", address)
    until(lambda: len(head.tool("look", "--nodes")["nodes"]) == 2)
    found = head.tool("look", "--nodes")["nodes"]
    assert sorted((node["address"], node["gpus"]) for node in found) == [(HEAD, 1), (OTHER, 1)]
    pids = head.pids() + other.pids()
    assert len(pids) > 6
    return pids


def test_it_ends_with_its_run_when_nobody_asks(parts: tuple[Part, Part], make_run: MakeRun) -> None:
    run = make_run("while [ ! -e go ]; do sleep 0.05; done")
    pids = up(parts, run)
    run.detach()
    assert parts[0].tool("look")["alive"]
    (run.root / "go").touch()
    until(lambda: all(map(is_gone, pids)), 60)
    assert (parts[0].root / "exit_code").read_text() == "0\n"
    assert (parts[1].root / "exit_code").read_text() != "0\n", "it lost its head"
    assert not parts[1].tool("look")["alive"]
