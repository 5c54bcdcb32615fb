"""What a run tells of what it was made with: it may be anything."""

import json
from typing import Any

import pytest

from monitoring.readers import provenance
from monitoring.readers.lines import whole_lines
from monitoring.readers.provenance import bounded, read_parts


def line(part: Any = "config", data: Any = None, at: Any = 5) -> bytes:
    return json.dumps({"at": at, "part": part, "data": data or {}}).encode() + b"\n"


def test_the_last_of_each_part_counts() -> None:
    text = line(data={"a": 1}) + line("hardware", {"host": "x"}) + line(data={"a": 2})
    parts = read_parts(whole_lines(text, 0)[0])
    assert {name: part.data for name, part in parts.found.items()} == {
        "config": {"a": 2},
        "hardware": {"host": "x"},
    }
    assert parts.found["config"].at.timestamp() == 5
    assert parts.broken == []


@pytest.mark.parametrize(
    "hostile",
    [
        b"{\n",
        b"[]\n",
        b'{"at": 1}\n',
        b"\xff\xfe\n",
        line("platform", {"version": "made up"}),
        line("nothing"),
        line(["config"]),
        line(at="soon"),
        line(at=1e400),
        line(at=-1),
        b'{"at": 1, "part": "config", "data": [1]}\n',
        b'{"at": 1, "part": "config", "data": ' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}\n",
        b'{"at": 1, "part": "config", "data": ' + b'{"a":' * 9000 + b"1" + b"}" * 9000 + b"}\n",
    ],
)
def test_what_is_no_part_is_left_out_and_the_rest_is_read(hostile: bytes) -> None:
    parts = read_parts(whole_lines(hostile + line("software", {"python": "3"}), 0)[0])
    assert len(parts.broken) == 1
    assert parts.found["software"].data == {"python": "3"}


def test_a_line_may_not_be_longer_than_any_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "LONGEST", 100)
    assert read_parts(whole_lines(line(data={"a": "x" * 200}), 0)[0]).found == {}


def test_so_much_is_kept_and_what_was_left_out_is_counted() -> None:
    kept = bounded({"config": {f"k{n}": n for n in range(100_000)}, "name": "x"})
    assert len(kept["config"]) == provenance.MOST
    assert kept["left_out"] == 100_000 - provenance.MOST + 1
    long = bounded({"a": "x" * 50_000, "n" * 900: 1})
    assert len(long["a"]) == provenance.LONGEST_TEXT + len(provenance.CUT)
    assert [len(name) for name in long] == [1, provenance.LONGEST_NAME]


def test_text_is_made_fit_to_be_kept() -> None:
    text = b'{"at": 1, "part": "config", "data": {"a\\u0000": "\\u0000\\ud800", "n": NaN}}\n'
    data = read_parts(whole_lines(text, 0)[0]).found["config"].data
    assert data == {"a\ufffd": "\ufffd\ufffd", "n": None}
