"""What is special to a Ray cluster: a run is seen through its job's log alone."""

import hashlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from compute.runners.base import (
    Alive,
    Launch,
    LoginRefused,
    Piece,
    Runner,
    RunnerError,
    RunnerUnsure,
    Unreachable,
)
from compute.runners.check import ray as ray_check
from compute.runners.check.judgements import Expected
from compute.runners.cluster import api, sending
from compute.runners.cluster import runner as ray
from compute.runners.cluster.api import RayApi
from compute.runners.cluster.runner import RayRunner
from compute.runners.cluster.spool import Spool
from tests.compute.runners.conftest import Place
from tests.ray_cluster import PYTHON, RayCluster, free_ports
from tests.relay_line import Line
from tests.waiting import eventually


def nothing(done: int, total: int) -> None:
    """Nobody wants to know how far it is."""


def launch(runner: Runner, place: Place, attempt: Path, gpus: int = 0) -> None:
    argv = (place.trainer.python, "-m", "verl.trainer.main_ppo")
    env = {"VERL_FILE_LOGGER_PATH": f"{attempt}/metrics.jsonl", "PYTHONUNBUFFERED": "1"}
    runner.launch(Launch(str(attempt), argv, env, gpus=gpus))


def made(place: Place, address: str, token: str, spools: Path) -> RayRunner:
    return RayRunner(address, token, place.trainer.python, str(place.workdir), spools)


@pytest.fixture
def attempt(on_cluster: Place) -> Path:
    return on_cluster.workdir / "runs/1/attempt-1"


@pytest.fixture
def line(cluster: RayCluster) -> Iterator[Line]:
    one = Line(urlsplit(cluster.address).port or 0)
    yield one
    one.end()


def steps_in(data: bytes) -> list[int]:
    return [json.loads(row)["step"] for row in data.splitlines()]


def test_a_run_whose_line_is_cut_is_there_byte_for_byte(
    on_cluster: Place, cluster: RayCluster, line: Line, attempt: Path, home: Path
) -> None:
    runner = made(on_cluster, f"http://127.0.0.1:{line.port}", cluster.token, home / "a")
    on_cluster.trainer.plan(steps=6, gated=True)
    launch(runner, on_cluster, attempt)
    on_cluster.trainer.go(2)
    metrics = str(attempt / "metrics.jsonl")
    eventually(lambda: runner.read(metrics, 0, 1 << 20).count(b"\n") == 2, what="two steps")

    line.cut()
    on_cluster.trainer.go(4)
    eventually(lambda: (attempt / "metrics.jsonl").read_bytes().count(b"\n") == 4)
    with pytest.raises(Unreachable):
        runner.now()
    assert steps_in(runner.read(metrics, 0, 1 << 20)) == [1, 2]

    line.mend()
    on_cluster.trainer.go(6)
    eventually(lambda: runner.read(str(attempt / "exit_code"), 0, 9), within=40)
    # One that has nothing yet, as after the loss of the copy, comes to the same.
    anew = made(on_cluster, cluster.address, cluster.token, home / "b")
    eventually(lambda: anew.read(str(attempt / "exit_code"), 0, 9), within=40)
    for name in ("metrics.jsonl", "train.log", "events.jsonl", "run.sh"):
        there = (attempt / name).read_bytes()
        assert runner.read(str(attempt / name), 0, 1 << 20) == there
        assert anew.read(str(attempt / name), 0, 1 << 20) == there
    assert steps_in((attempt / "metrics.jsonl").read_bytes()) == [1, 2, 3, 4, 5, 6]


def test_a_launch_whose_answer_is_lost_is_looked_up_and_starts_nothing_twice(
    on_cluster: Place, cluster: RayCluster, line: Line, attempt: Path, home: Path
) -> None:
    runner = made(on_cluster, f"http://127.0.0.1:{line.port}", cluster.token, home / "a")
    line.swallow_answer_to(b"POST /api/jobs/")
    launch(runner, on_cluster, attempt)
    assert line.swallowed.is_set()
    eventually(lambda: runner.read(str(attempt / "exit_code"), 0, 9))
    assert (attempt / "metrics.jsonl").read_text().count("\n") == 3
    with pytest.raises(RunnerError, match="was started already"):
        launch(runner, on_cluster, attempt)
    assert runner.bar(str(attempt)) is False


def test_what_is_barred_never_starts(on_cluster: Place, attempt: Path) -> None:
    runner = on_cluster.runner()
    assert runner.bar(str(attempt)) is True
    assert runner.bar(str(attempt)) is False
    with pytest.raises(RunnerError, match="was started already"):
        launch(runner, on_cluster, attempt)


def test_a_run_ends_with_its_job_and_is_not_called_done(on_cluster: Place, attempt: Path) -> None:
    """The job's process is killed: the wrapper ends the run, and the verdict is never told."""
    runner = on_cluster.runner()
    on_cluster.trainer.plan(steps=1, gated=True)
    launch(runner, on_cluster, attempt)
    record = json.loads((attempt / "pid").read_text())
    wrapper = psutil.Process(record["wrapper"]["pid"])
    trainer = psutil.Process(record["process"]["pid"])
    job = wrapper.parent()
    assert job is not None
    job.send_signal(signal.SIGKILL)
    eventually(lambda: not trainer.is_running(), what="the trainer's end")
    eventually(lambda: runner.alive(str(attempt)) == Alive(wrapper=False, process=False))
    assert "Ray says FAILED" in runner.alive(str(attempt)).why
    assert runner.read(str(attempt / "exit_code"), 0, 9) == b""


def test_one_that_the_cluster_has_no_room_for_is_unsure_and_waits(
    on_cluster: Place, attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "STARTS_WITHIN", 2.0)
    runner = on_cluster.runner()
    with pytest.raises(RunnerUnsure, match="starts when the cluster has room"):
        launch(runner, on_cluster, attempt, gpus=64)
    seen = runner.alive(str(attempt))
    assert seen == Alive(wrapper=True, process=False)
    assert "no room" in seen.why
    runner.stop(str(attempt), 0)
    assert not attempt.exists()


def test_no_secret_is_given_to_a_job_that_everyone_can_read(
    on_cluster: Place, cluster: RayCluster, attempt: Path
) -> None:
    runner = on_cluster.runner()
    with pytest.raises(RunnerError, match="can be read by everyone"):
        runner.launch(Launch(str(attempt), ("x",), {}, {"WANDB_API_KEY": "s3cret"}))
    assert isinstance(runner, RayRunner)
    assert cluster.api().job(runner.job_of(str(attempt))) is None


def test_files_and_folders_go_there_once_and_checked(
    on_cluster: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, source = on_cluster.runner(), tmp_path / "it's größe.parquet"
    source.write_bytes(b"rows" * 1000)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    path = runner.put(source, digest, nothing)
    assert Path(path).read_bytes() == source.read_bytes()
    assert path.startswith(f"{on_cluster.workdir}/files/{digest}/")
    first = Path(path).stat().st_ino
    assert runner.put(source, digest, nothing) == path
    assert Path(path).stat().st_ino == first

    wrong = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(RunnerError, match="SHA-256 differs"):
        runner.put(source, wrong, nothing)
    assert list((on_cluster.workdir / "files" / wrong).iterdir()) == []

    folder = runner.put_folder(tmp_path, [Piece("a/b.bin", source, 4000, digest)], nothing)
    assert Path(folder, "a/b.bin").read_bytes() == source.read_bytes()

    monkeypatch.setattr(sending, "LARGEST_SENT", 10)
    other = tmp_path / "large"
    other.write_bytes(b"12345678901")
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    with pytest.raises(RunnerError, match=r"takes 0 MiB at most. Copy it to .*/files/"):
        runner.put(other, digest, nothing)
    with pytest.raises(RunnerError, match=r"takes 0 MiB at most. Copy it to a file system"):
        runner.put_folder(tmp_path, [Piece("b.bin", other, 11, digest)], nothing)

    target = tmp_path / "a folder/back"
    runner.get(path, target, nothing)
    assert target.read_bytes() == source.read_bytes()
    monkeypatch.setattr(ray, "LARGEST_BROUGHT", 10)
    with pytest.raises(RunnerError, match="Ray's API brings no files"):
        runner.get(path, target, nothing)


def test_a_wrong_token_is_refused(cluster: RayCluster) -> None:
    with pytest.raises(LoginRefused, match="refuses the token"):
        RayApi(cluster.address, "wrong").version()
    with pytest.raises(LoginRefused, match="asks for a token"):
        RayApi(cluster.address).version()


def test_nobody_there_is_unreachable_and_not_asked_again_at_once() -> None:
    (port,) = free_ports(1)
    there = RayApi(f"http://127.0.0.1:{port}")
    with pytest.raises(Unreachable, match="There is no answer") as first:
        there.version()
    with pytest.raises(Unreachable, match="It is tried again in") as second:
        there.version()
    assert second.value.since == first.value.since


@pytest.fixture
def odd_server() -> Iterator[Callable[[bytes], RayApi]]:
    """One that gives the same answer to everything."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: bytes) -> RayApi:
        class Odd(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return RayApi(f"http://127.0.0.1:{server.server_port}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>hello</html>", "not as Ray's dashboard does"),
        (b"[]", "not as Ray's dashboard does"),
        (b"{}", "is no Ray"),
        (b'{"ray_version": 7}', "is no Ray"),
        (b"x" * (api.MOST + 1), "answers more than 4 MiB"),
        (b"", "not as Ray's dashboard does"),
    ],
)
def test_what_is_no_ray_is_said(
    odd_server: Callable[[bytes], RayApi], answer: bytes, words: str
) -> None:
    there = odd_server(answer)
    with pytest.raises(RunnerError, match=words):
        there.version()
    for ask in (there.nodes, there.load):
        with pytest.raises(RunnerError):
            ask()


def test_one_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ANSWERS_WITHIN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = RayApi(f"http://127.0.0.1:{server.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(Unreachable, match="gave no answer"):
            there.version()
    assert time.monotonic() - began < 5


def test_a_check_lists_what_the_nodes_have(cluster: RayCluster, tmp_path: Path) -> None:
    expected = Expected("c", "0.9.1", str(tmp_path), str(PYTHON), "0.1.0", {"ray": "2.60.0"})
    seen: list[Unreachable] = []
    report = ray_check.check_cluster(cluster.api(), expected, seen.append)
    found = {line.name: line for line in report.lines}
    assert seen == []
    assert [node["gpus"] for node in report.nodes] == [2]
    assert found["nodes"].found == "1 node lives"
    for name in ("reach", "login", "ray", "nodes", "python", "workdir", "verl", "node", "shared"):
        assert found[name].outcome == "pass", found[name]
    other = Expected("c", "0.9.1", str(tmp_path), "/nowhere/python", "0.1.0", {"ray": "2.0.0"})
    found = {
        line.name: line for line in ray_check.check_cluster(cluster.api(), other, seen.append).lines
    }
    assert found["ray"].outcome == "fail"
    assert "There is no Python at /nowhere/python" in found["python"].says
    assert found["verl"].outcome == "unknown"


def test_a_check_of_nobody_fails_with_a_line_to_copy() -> None:
    (port,) = free_ports(1)
    seen: list[Unreachable] = []
    nobody = RayApi(f"http://127.0.0.1:{port}")
    report = ray_check.check_cluster(nobody, Expected("c", "0.9.1", "/w"), seen.append)
    assert len(seen) == 1
    assert report.lines[0].outcome == "fail"
    assert report.lines[0].fix == f"curl http://127.0.0.1:{port}/api/version"
    assert {line.outcome for line in report.lines[1:]} == {"unknown"}
    assert report.nodes == []


def test_a_spool_that_lost_its_job_says_so(home: Path) -> None:
    spool = Spool(home / "spool")
    spool.close("GONE", "The cluster does not know this job any more.")
    assert (spool.over or {})["status"] == "GONE"
    assert not spool.has_all
