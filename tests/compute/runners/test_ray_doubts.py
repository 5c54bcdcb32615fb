"""What is not known of a run on a Ray cluster is never taken for its end, nor for its beginning.

The dashboard here is a fake that gives the answers which a real one gives only in bad moments.
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from compute.runners.base import Launch, RunnerError, RunnerUnsure
from compute.runners.cluster import calls, tail
from compute.runners.cluster import runner as ray
from compute.runners.cluster.api import RayApi
from compute.runners.cluster.frames import Frame
from compute.runners.cluster.runner import RayRunner
from compute.runners.cluster.spool import Room, Spool
from compute.runners.cluster.tail import Tail

ATTEMPT = "/work/runs/1/attempt-1"
Answer = tuple[int, Any]
NODES: dict[str, Any] = {"data": {"result": {"result": []}}}
GONE: Answer = (404, "Job x does not exist")


class FakeDashboard:
    """Answers by method and the beginning of the path; a list of answers is used up to its last."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Answer]] = {
            ("GET", "/api/packages/"): [(200, {})],
            ("GET", "/api/v0/nodes"): [(200, NODES)],
            ("GET", "/api/jobs/trainyard-1-"): [GONE],
            ("GET", "/api/jobs/"): [(200, [])],
            ("POST", "/api/jobs/"): [(200, {})],
        }
        self.asked: list[str] = []
        dashboard = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                dashboard.asked.append(f"{self.command} {self.path}")
                code, data = dashboard.answer_to(self.command, self.path)
                body = (data if isinstance(data, str) else json.dumps(data)).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer_to(self, method: str, path: str) -> Answer:
        for (of, beginning), answers in self.answers.items():
            if of == method and path.startswith(beginning):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return 200, {}

    def says(self, method: str, path: str, *answers: Answer) -> None:
        self.answers[method, path] = list(answers)

    def job(self, *answers: Answer) -> None:
        self.says("GET", "/api/jobs/trainyard-1-", *answers)


def info(status: str, node: str = "", message: str = "") -> Answer:
    return 200, {"status": status, "message": message, "driver_node_id": node}


@pytest.fixture
def dashboard() -> Iterator[FakeDashboard]:
    one = FakeDashboard()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def runner(dashboard: FakeDashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RayRunner:
    monkeypatch.setattr(ray, "follow", lambda *_: None)
    monkeypatch.setattr(ray, "STARTS_WITHIN", 0.3)
    monkeypatch.setattr(ray, "LOOK_EVERY", 0.01)
    return RayRunner(dashboard.url, "", "python", "/work", tmp_path / "spools")


def spool_of(runner: RayRunner) -> Spool:
    return runner._spool(ATTEMPT)


@pytest.mark.parametrize(
    "then",
    [(502, "bad gateway"), (500, "Traceback"), (404, "no such route"), (200, "no json"), GONE],
)
def test_what_fails_once_the_order_was_taken_leaves_it_unsure(
    runner: RayRunner, dashboard: FakeDashboard, then: Answer
) -> None:
    dashboard.job(then)
    with pytest.raises(RunnerUnsure):
        runner.launch(Launch(ATTEMPT, ("x",), {}))


@pytest.mark.parametrize("refusal", [(500, "Traceback\nRuntimeError: lost"), (504, "too late")])
def test_an_order_that_was_answered_with_a_fault_of_theirs_is_looked_up(
    runner: RayRunner, dashboard: FakeDashboard, refusal: Answer
) -> None:
    dashboard.says("POST", "/api/jobs/", refusal)
    with pytest.raises(RunnerUnsure, match="is not known"):
        runner.launch(Launch(ATTEMPT, ("x",), {}))
    dashboard.job(info("RUNNING", "a"))
    spool_of(runner).take(Frame("pid", 0, b"{}", 1.0, is_whole=True))
    runner.launch(Launch(ATTEMPT, ("x",), {}))  # it had begun


def test_what_ray_refuses_was_not_started(runner: RayRunner, dashboard: FakeDashboard) -> None:
    dashboard.says("POST", "/api/jobs/", (400, "ValueError: bad runtime_env"))
    with pytest.raises(RunnerError, match="bad runtime_env") as caught:
        runner.launch(Launch(ATTEMPT, ("x",), {}))
    assert not isinstance(caught.value, RunnerUnsure)


def lives(found: dict[str, bool]) -> Callable[..., Any]:
    return lambda *_, **__: found


DEAD = {"wrapper": False, "process": False}


def test_a_run_whose_log_is_still_being_read_is_not_gone(
    runner: RayRunner, dashboard: FakeDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "call", lives(DEAD))
    dashboard.job(info("SUCCEEDED"))
    found = runner.alive(ATTEMPT)
    assert (found.wrapper, found.process) == (True, False)
    assert "still being read" in found.why
    spool_of(runner).close("SUCCEEDED", "")
    assert not runner.alive(ATTEMPT).wrapper


def test_what_lives_though_ray_gave_it_up_is_followed_again(
    runner: RayRunner, dashboard: FakeDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "call", lives({"wrapper": True, "process": True}))
    dashboard.job(info("FAILED", message="the supervisor was not reached"))
    spool_of(runner).close("FAILED", "")
    assert runner.alive(ATTEMPT).process
    assert spool_of(runner).over is None


def test_a_job_that_ended_on_no_node_never_began(
    runner: RayRunner, dashboard: FakeDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one for which there was no room for a quarter of an hour."""
    monkeypatch.setattr(calls, "call", lambda *_, **__: True)
    dashboard.says("POST", "/api/jobs/", (500, "ValueError: Job with submission_id already exists"))
    dashboard.job(info("FAILED"))
    assert runner.bar(ATTEMPT) is True
    dashboard.job(info("FAILED", "a"))
    assert runner.bar(ATTEMPT) is False
    dashboard.job(info("PENDING"))
    assert runner.bar(ATTEMPT) is False


def test_beside_a_run_whose_node_has_left_the_head_is_asked(
    runner: RayRunner, dashboard: FakeDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def call(*_: Any, node: str = "", **__: Any) -> str:
        asked.append(node)
        return '{"step": 1, "world_size": 1, "faults": []}'

    monkeypatch.setattr(calls, "call", call)
    row = {"node_id": "b", "node_ip": "b", "state": "ALIVE", "is_head_node": True}
    there = {"data": {"result": {"result": [row | {"resources_total": {}}]}}}
    dashboard.says("GET", "/api/v0/nodes", (200, there))
    for node in ("a", "b"):
        dashboard.job(info("FAILED", node))
        runner.examine(f"{ATTEMPT}/checkpoints/global_step_1")
    assert asked == ["", "b"]


def test_questions_that_nobody_waits_for_leave_the_list(dashboard: FakeDashboard) -> None:
    rows = [
        ("trainyard-call-1", "SUCCEEDED", 1_000), ("trainyard-call-2", "SUCCEEDED", 99_000),
        ("trainyard-call-3", "RUNNING", None), ("trainyard-1-x", "FAILED", 1_000),
        (None, "SUCCEEDED", 1_000), ("trainyard-call-4", "FAILED", 2_000),
    ]  # fmt: skip
    listed = [
        {"submission_id": name, "status": status, "end_time": at} for name, status, at in rows
    ]
    dashboard.says("GET", "/api/jobs/", (200, listed))
    calls.sweep(RayApi(dashboard.url))
    gone = [line.rpartition("/")[2] for line in dashboard.asked if line.startswith("DELETE")]
    assert gone == ["trainyard-call-1", "trainyard-call-4"]


class Clock:
    """Moves on by what is slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(tail, "time", one)
    return one


def test_a_job_is_gone_once_the_cluster_has_said_so_for_minutes(
    dashboard: FakeDashboard, tmp_path: Path, clock: Clock
) -> None:
    spool = Spool(tmp_path / "spool")
    dashboard.job(info("PENDING"), GONE)
    reader = Tail(RayApi(dashboard.url), "trainyard-1-x", spool)
    reader.run()
    assert (spool.over or {})["status"] == "GONE"
    assert clock.now >= tail.GONE_AFTER


def test_one_whose_log_cannot_be_read_any_more_is_not_followed_for_ever(
    dashboard: FakeDashboard, tmp_path: Path, clock: Clock
) -> None:
    spool = Spool(tmp_path / "spool")
    dashboard.job(
        info("FAILED", "a", "its node died")
    )  # whoever asks for its log gets no websocket
    Tail(RayApi(dashboard.url), "trainyard-1-x", spool).run()
    assert (spool.over or {})["message"] == "its node died"


def test_a_line_that_cannot_be_read_does_not_hide_the_next(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    reader = Tail(RayApi("http://127.0.0.1:1"), "x", spool)
    reader._take("@trainyard\t{half a li")
    reader._take("words of a careless library")
    reader._take(
        '@trainyard\t{"file":"exit_code","at":0,"size":2,"crc":2118831378,"modified":5.5,"whole":true}'
        "\teJwz4AIAAGwAOw=="
    )
    assert (tmp_path / "spool/exit_code").read_bytes() == b"0\n"


def test_what_the_disk_here_does_not_take_says_nothing_of_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "take", full)
    reader = Tail(RayApi("http://127.0.0.1:1"), "x", Spool(tmp_path / "spool"))
    with pytest.raises(tail.NotKept, match="No space left"):
        reader._take(
            '@trainyard\t{"file":"train.log","at":3,"size":6,"crc":909783072,"modified":5.5,'
            '"whole":false}\teAHLSM3JyecCAAhLAh8='
        )


def growth(name: str, at: int, data: bytes) -> Frame:
    return Frame(name, at, data, 1.0, is_whole=False)


def test_a_log_without_end_leaves_room_and_the_figures_go_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", Room(largest=10))
    spool.take(growth("train.log", 0, b"12345"))
    spool.take(growth("rollouts/1.jsonl", 0, b"1234"))
    assert not spool.is_cut
    spool.take(growth("train.log", 5, b"67"))
    assert spool.is_cut
    spool.take(growth("train.log", 7, b"8"))  # a hole is no fault of the line
    spool.take(growth("train.log", 0, b"12345"))
    spool.take(growth("metrics.jsonl", 0, b"{}\n" * 100))
    assert (tmp_path / "spool/train.log").read_bytes() == b"12345"
    assert (tmp_path / "spool/metrics.jsonl").stat().st_size == 300
    again = Spool(tmp_path / "spool", Room(largest=10))
    assert again.is_cut
    few = Spool(tmp_path / "other", Room(keep_free=1 << 60))
    few.take(growth("train.log", 0, b"1"))
    assert few.is_cut
    assert ".cut" not in {fact.path for fact in few.files("")}


@pytest.mark.parametrize("name", [".over.json", ".known", "a/.lock"])
def test_a_job_writes_nothing_of_the_spools_own(tmp_path: Path, name: str) -> None:
    head = {"file": name, "at": 0, "size": 2, "crc": 2118831378, "modified": 5.5, "whole": True}
    spool = Spool(tmp_path / "spool")
    line = f"@trainyard\t{json.dumps(head)}\teJwz4AIAAGwAOw=="
    Tail(RayApi("http://127.0.0.1:1"), "x", spool)._take(line)
    assert not (tmp_path / "spool").exists()
