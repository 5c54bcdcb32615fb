"""The lines in which a job tells of its files, and the copy that is made of them."""

from pathlib import Path

import pytest

from compute.runners.cluster.frames import Frame, read_frame
from compute.runners.cluster.spool import Spool

# As trainyard_node.frames writes it: b"hello\n" of train.log from byte 3 on.
LINE = (
    '@trainyard\t{"file":"train.log","at":3,"size":6,"crc":909783072,"modified":5.5,"whole":false}'
    "\teAHLSM3JyecCAAhLAh8=\n"
)


def test_a_line_is_read() -> None:
    assert read_frame(LINE) == Frame("train.log", 3, b"hello\n", 5.5, is_whole=False)


@pytest.mark.parametrize("line", ["", "step:1 - loss:2", " @trainyard\t", "@trainyard-answer x"])
def test_other_lines_are_none(line: str) -> None:
    assert read_frame(line) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("909783072", "909783073"),
        ('"size":6', '"size":7'),
        ("eAHLS", "eAHLT"),
        ("eAHLSM3JyecCAAhLAh8=", "eAHLSM3J"),
        ("train.log", "../../etc/passwd"),
        ("train.log", "/etc/passwd"),
        ("train.log", ""),
        ('"at":3', '"at":-1'),
        ('"at":3', '"at":null'),
        ("5.5", "Infinity"),
        ("5.5", "NaN"),
        ("5.5", '"now"'),
        ('{"file"', '["file"'),
        ("\teAH", " eAH"),
    ],
)
def test_a_damaged_line_is_no_line(before: str, after: str) -> None:
    assert before in LINE
    with pytest.raises(ValueError, match="line"):
        read_frame(LINE.replace(before, after))


def test_the_same_again_is_skipped_and_a_gap_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.take(Frame("train.log", 0, b"abc", 1.0, is_whole=False))
    spool.take(Frame("train.log", 0, b"abc", 1.0, is_whole=False))
    spool.take(Frame("train.log", 1, b"bcde", 2.0, is_whole=False))
    assert (tmp_path / "spool/train.log").read_bytes() == b"abcde"
    assert (tmp_path / "spool/train.log").stat().st_mtime == 2.0
    with pytest.raises(ValueError, match="lacks its bytes from 5 to 6"):
        spool.take(Frame("train.log", 6, b"x", 3.0, is_whole=False))


def test_an_old_heartbeat_that_is_told_again_does_not_come_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.take(Frame("heartbeat", 0, b"9.0\n", 9.0, is_whole=True))
    spool.take(Frame("heartbeat", 0, b"4.0\n", 4.0, is_whole=True))
    assert (tmp_path / "spool/heartbeat").read_bytes() == b"9.0\n"


def test_what_is_below_checkpoints_is_known_by_its_facts(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    listing = b'[["global_step_2/actor/model.pt", 123456789, 7.5]]'
    spool.take(Frame("checkpoints.json", 0, listing, 7.5, is_whole=True))
    spool.take(Frame("rollouts/1.jsonl", 0, b"{}\n", 7.0, is_whole=False))
    found = {fact.path: fact.size for fact in spool.files("checkpoints")}
    assert found == {"global_step_2/actor/model.pt": 123456789}
    assert {fact.path for fact in spool.files("")} == {
        "checkpoints/global_step_2/actor/model.pt", "rollouts/1.jsonl",
    }  # fmt: skip
    assert spool.exists("checkpoints/global_step_2")
    assert not spool.exists("checkpoints/global_step_3")
    assert spool.stat("checkpoints.json") is None


def test_a_checkpoint_that_was_removed_leaves_the_listing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    listed = b'[["global_step_1/a", 1, 1.0], ["global_step_10/b", 2, 1.0]]'
    spool.forget("checkpoints/global_step_1")  # before anything was listed
    spool.take(Frame("checkpoints.json", 0, listed, 5.0, is_whole=True))
    spool.forget("checkpoints/global_step_1")
    assert [fact.path for fact in spool.files("checkpoints")] == ["global_step_10/b"]
    spool.take(Frame("checkpoints.json", 0, listed, 5.0, is_whole=True))  # told once more
    assert not spool.exists("checkpoints/global_step_1")
