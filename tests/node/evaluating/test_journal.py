"""What is kept of an interrupted evaluation, and who takes it over."""

import json
from pathlib import Path

import pytest
from trainyard_node.evaluating.journal import Journal, earlier, lines_of, take_over
from trainyard_node.evaluating.result import write_state

A, B, C = ({"key": name} for name in "abc")


def keep(path: Path, *lines: dict[str, str], torn: bytes = b"") -> Path:
    journal = Journal(path)
    journal.keep(list(lines))
    journal.close()
    path.write_bytes(path.read_bytes() + torn)
    return path


@pytest.mark.parametrize(
    "torn", [b"", b'{"key": "d', b'{"key": "d"}', b"\0\0\0\0", b"[]\n", b"\xff\n"]
)
def test_whole_lines_are_taken_over_once(tmp_path: Path, torn: bytes) -> None:
    old = keep(tmp_path / "old.jsonl", A, B, A, C, torn=torn)
    taken: list[dict[str, str]] = []
    new = tmp_path / "new/rows.jsonl"
    assert take_over(old, new, lambda line: line.get("key"), taken.append) == 3
    assert taken == [A, B, C]
    assert [json.loads(line) for line in new.read_text().splitlines()] == [A, B, C]
    keep(new, {"key": "d"})
    assert len([*lines_of(new)]) == 4


def test_a_file_can_take_over_itself(tmp_path: Path) -> None:
    path = keep(tmp_path / "rows.jsonl", A, B, torn=b'{"key"')
    assert take_over(path, path, lambda line: line.get("key"), lambda line: None) == 2
    assert [*lines_of(path)] == [A, B]


def test_a_line_without_a_key_is_left_out(tmp_path: Path) -> None:
    path = keep(tmp_path / "rows.jsonl", A, {"other": "x"})
    assert take_over(path, path, lambda line: line.get("key"), lambda line: None) == 1


def test_the_newest_attempt_of_the_same_evaluation_is_gone_on_with(tmp_path: Path) -> None:
    for number, digest in ((1, "one"), (2, "one"), (3, "other"), (12, "one")):
        write_state(tmp_path / f"attempt-{number}/evaluation", {"digest": digest})
    (tmp_path / "attempt-4").mkdir()
    (tmp_path / "attempt-5/evaluation").mkdir(parents=True)
    (tmp_path / "attempt-5/evaluation/progress.json").write_text("{")
    below = Path("evaluation")
    found = earlier(tmp_path / "attempt-6", below, "one")
    assert found == tmp_path / "attempt-2"
    assert earlier(tmp_path / "attempt-6", below, "none") is None
    assert earlier(tmp_path / "attempt-1", below, "one") == tmp_path / "attempt-1"
    assert earlier(tmp_path / "by-hand", below, "one") is None
