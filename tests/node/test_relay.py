"""What a job on a Ray cluster tells of its run, also where its output fails."""

import os
import tempfile
from pathlib import Path

import pytest
from trainyard_node import relay
from trainyard_node.attempt import Attempt
from trainyard_node.frames import Frame
from trainyard_node.ray_job import Output
from trainyard_node.relay import Relay, listing_of


class Listener:
    """Takes frames, or fails as a full disk does."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.is_full = False

    def tell(self, frame: Frame) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.frames.append(frame)

    def names(self) -> list[str]:
        return [frame.path for frame in self.frames]

    def content(self, name: str) -> bytes:
        """As whoever listens has it: a gap would be an error there."""
        data = b""
        for frame in self.frames:
            if frame.path == name:
                assert frame.offset <= len(data)
                data = data[: frame.offset] + frame.data
        return data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints/global_step_1").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def heard() -> Listener:
    return Listener()


@pytest.fixture
def told(root: Path, heard: Listener) -> Relay:
    return Relay(Attempt(root), heard.tell)


def test_what_a_full_disk_did_not_take_is_told_again(
    root: Path, heard: Listener, told: Relay
) -> None:
    (root / "train.log").write_text("one\n")
    assert told.look()
    heard.is_full = True
    (root / "train.log").write_text("one\ntwo\n")
    (root / "pid").write_text("{}")
    (root / "checkpoints/global_step_1/model.pt").write_text("w")
    (root / "exit_code").write_text("0\n")
    assert not told.look(last=True)
    assert heard.names() == ["train.log"]
    heard.is_full = False
    assert told.look(last=True)
    assert heard.content("train.log") == b"one\ntwo\n"
    assert heard.content("pid") == b"{}"
    assert b"global_step_1/model.pt" in heard.content("checkpoints.json")
    assert heard.names()[-1] == "exit_code"


def test_the_last_look_reads_to_the_end_though_a_size_is_told_that_is_old(
    root: Path, heard: Listener, told: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "metrics.jsonl").write_text("1\n")
    told.look()
    old = told._facts("metrics.jsonl")
    (root / "metrics.jsonl").write_text("1\n2\n")
    monkeypatch.setattr(told, "_facts", lambda name: old if (root / name).exists() else None)
    told.look()
    assert heard.content("metrics.jsonl") == b"1\n"
    told.look(last=True)
    assert heard.content("metrics.jsonl") == b"1\n2\n"


def test_checkpoints_are_listed_seldom_and_before_an_event_at_once(
    root: Path, heard: Listener, told: Relay
) -> None:
    weights = root / "checkpoints/global_step_1/model.pt"
    weights.write_text("w")
    told.look()
    weights.write_text("we")
    told.look()
    assert heard.names().count("checkpoints.json") == 1
    (root / "events.jsonl").write_text('{"kind": "checkpoint"}\n')
    told.look()
    assert heard.names()[-2:] == ["checkpoints.json", "events.jsonl"]
    weights.unlink()
    told.look(last=True)
    assert heard.content("checkpoints.json") == b"[]"
    assert heard.frames[-1].modified >= heard.frames[0].modified


def test_a_report_is_told_once_the_run_has_ended_and_before_its_end(
    root: Path, heard: Listener, told: Relay
) -> None:
    scores = root / "evaluation/scores.jsonl"
    scores.parent.mkdir()
    scores.write_text("in the making\n")
    assert told.look()
    assert heard.names() == []
    scores.write_text("1\n")
    (root / "evaluation/evaluation.json").write_text("{}")
    (root / "evaluation/.part").write_text("x")
    (root / "exit_code").write_text("0\n")
    assert told.look()
    reports = ["evaluation/evaluation.json", "evaluation/scores.jsonl"]
    assert heard.names() == [*reports, "exit_code"]
    assert heard.content("evaluation/scores.jsonl") == b"1\n"


def test_of_too_many_files_the_newest_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(f"global_step_{n}/model.pt", n, float(n)) for n in range(1000)]
    assert len(listing_of(files)) < relay.MOST_LISTING
    monkeypatch.setattr(relay, "MOST_LISTING", 10_000)
    listed = listing_of(files)
    assert len(listed) <= 10_000
    assert b"global_step_999/" in listed
    assert b"global_step_1/" not in listed


def test_half_a_line_does_not_spoil_the_next() -> None:
    with tempfile.TemporaryFile() as file:
        output = Output(file.fileno())
        read_only = os.open(os.devnull, os.O_RDONLY)
        output._descriptor, kept = read_only, file.fileno()
        with pytest.raises(OSError, match="Bad file descriptor"):
            output.tell(Frame("pid", 0, b"1", 1.0))
        os.close(read_only)
        file.write(b"@trainyard\t{half")
        file.flush()
        output._descriptor = kept
        output.tell(Frame("pid", 0, b"2", 1.0))
        output.tell(Frame("pid", 0, b"3", 1.0))
        file.seek(0)
        lines = file.read().splitlines()
    assert lines[0] == b"@trainyard\t{half"
    assert [line.startswith(b'@trainyard\t{"file"') for line in lines[1:]] == [True, True]
