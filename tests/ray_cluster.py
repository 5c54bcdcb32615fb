"""A real Ray cluster of one or more nodes on loopback, started and ended by process id."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from compute.runners.base import RunnerError
from compute.runners.cluster.api import RayApi
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "environments/verl-0.9/.venv/bin/python"
RAY = PYTHON.with_name("ray")
STARTS_WITHIN = 90  # seconds, on a machine under load
# The tests must not use the machine's own address, so Ray stays on the loopback address.
ENV = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_prestart_worker_first_driver": "0",  # else 32 idle workers
}


class RayCluster:
    """The dashboard of the cluster requires a token, as Ray's default soon will."""

    def __init__(self, gpus: int = 2) -> None:
        # The folder holds sockets, whose paths may have about a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="tyray-", dir="/tmp"))
        self.token = secrets.token_hex(24)
        self.port, dashboard, client, agent = free_ports(4)
        self.address = f"http://127.0.0.1:{dashboard}"
        self._processes = [
            self._start(
                "--head", f"--port={self.port}", "--dashboard-host=127.0.0.1",
                f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}",
                f"--dashboard-agent-listen-port={agent}", "--node-ip-address=127.0.0.1",
                f"--temp-dir={self.folder / 'ray'}", "--num-cpus=32", f"--num-gpus={gpus}",
            )
        ]  # fmt: skip
        eventually(self.answers, within=STARTS_WITHIN, what="an answer of the dashboard")

    def _start(self, *argv: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, **ENV, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        with (self.folder / "start.log").open("ab") as log:
            return subprocess.Popen(
                [RAY, "start", "--block", "--object-store-memory=100000000", *argv],
                env=env, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def answers(self) -> bool:
        """Whether the cluster accepts jobs: a node lives."""
        try:
            return bool(RayApi(self.address, self.token).nodes())
        except RunnerError:
            return False

    def api(self) -> RayApi:
        return RayApi(self.address, self.token)

    def end(self) -> None:
        """Kill the processes by id: if asked politely, Ray takes half a minute. A second call does
        nothing.
        """
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for started in self._processes:
            started.wait(10)
        self._processes.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tree(self) -> list[psutil.Process]:
        found = []
        for started in self._processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(started.pid)
                found += [process, *process.children(recursive=True)]
        return found


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    cluster = RayCluster()
    try:
        yield cluster
    finally:
        cluster.end()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
