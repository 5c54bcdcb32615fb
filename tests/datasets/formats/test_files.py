"""Files as spreadsheets, old programs and other encodings write them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets.formats.codes import reasons
from datasets.formats.shapes import why_not
from datasets.formats.source import SourceFacts, import_file, read_source

Rows = list[dict[str, Any]]
Put = Callable[..., tuple[SourceFacts, Rows]]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def imported(content: bytes, name: str, encoding: str = "utf-8") -> tuple[SourceFacts, Rows]:
        path = tmp_path / "upload"
        path.write_bytes(content)
        facts = import_file(path, tmp_path / "out", name=name, encoding=encoding)
        rows = read_source(tmp_path / "out/rows.parquet", 0, 100)
        return facts, [row.data for row in rows]

    return imported


@pytest.mark.parametrize(
    "content",
    [
        b"sep=;\r\na;b\r\n1,5;2\r\n",
        b'\xef\xbb\xbf"sep=;"\na;b\n1,5;2\n',
        b"SEP=;\ra;b\r1,5;2\r",
        b"\n\na;b\n1,5;2\n",
        b"a|b\n1,5|2\n",
        b"sep=\t\na\tb\n1,5\t2\n",
        b'"a";"b"\n1,5;2\n',
    ],
)
def test_the_delimiter(put: Put, content: bytes) -> None:
    facts, rows = put(content, "a.csv")
    assert (rows, facts.bad) == ([{"a": "1,5", "b": "2"}], 0)


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [b"", b"end"])
def test_any_line_end(put: Put, end: bytes, last: bytes) -> None:
    lines = [b"a,b", b'1,"two\nlines"', b'3,"four\rfive"'] + [b"6,7"] * bool(last)
    facts, rows = put(end.join([*lines, b""][: None if not last else -1]), "a.csv")
    expected = [{"a": "1", "b": "two\nlines"}, {"a": "3", "b": "four\rfive"}]
    assert (rows, facts.bad) == (expected + [{"a": "6", "b": "7"}] * bool(last), 0)


def test_jsonl_with_old_line_ends(put: Put) -> None:
    assert put(b'{"a":1}\r{"a":2}\r', "a.jsonl")[1] == [{"a": 1}, {"a": 2}]
    assert put(b'{"a":1}\r{"a":2}', "a.json")[1] == [{"a": 1}, {"a": 2}]


def test_a_quoted_header(put: Put) -> None:
    content = b'"the\nquestion, in, words";"the ""answer"""\r\n1;2\r\n'
    assert put(content, "a.csv")[1] == [{"the question, in, words": "1", 'the "answer"': "2"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'a,"b\n1,2\n', "The header cannot be read: A quote is not closed"),
        (b'"a"x,b\n1,2\n', "The header cannot be read: A quoted field goes on after its quote"),
        (b"caf\xe9,b\n1,2\n", "The header is not valid UTF-8. Name the file's encoding"),
        (b'"a,a\n', "The header cannot be read"),
        (b"sep=;\n", "The first line names no columns"),
    ],
)
def test_headers_that_cannot_be_read(put: Put, content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        put(content, "a.csv")


def test_a_line_end_of_another_kind(put: Put) -> None:
    facts, rows = put(b"a,b\n1,x\ry\n3,4\n", "a.csv")
    assert facts.problem_counts == {"broken_csv": 1}
    assert facts.examples[0]["message"] == "A line end of another kind stands outside of quotes."
    assert rows == [{"a": "3", "b": "4"}]


def test_text_that_is_not_utf8_is_called_so(put: Put) -> None:
    facts, rows = put("a,b\n1,2\ncafé,ö\n".encode("cp1252"), "a.csv")
    assert (facts.problem_counts, rows) == ({"encoding": 1}, [{"a": "1", "b": "2"}])
    assert facts.examples[0]["message"] == "It is not valid UTF-8."
    [reason] = reasons(facts.problem_counts)
    assert reason.startswith("Not valid UTF-8: 1. Name the file's encoding")
    with pytest.raises(ValueError, match=r"is not valid UTF-8\. Name the file's encoding"):
        put('[{"a":"é"}]'.encode("cp1252"), "a.json")
    with pytest.raises(
        ValueError, match=r"Row 1: It is not valid UTF-8\. Name the file's encoding"
    ):
        put('{"a":"é"}\n'.encode("cp1252"), "a.jsonl")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("cp1252", "é €"), ("cp1251", "да"), ("utf-16", "é 語"), ("shift_jis", "語"), ("utf-8", "é")],
)
def test_text_in_an_encoding_that_is_named(put: Put, encoding: str, text: str) -> None:
    for content, name in (
        (f"a,b\n{text},2\n", "a.csv"),
        (f'[{{"a":"{text}","b":"2"}}]', "a.json"),
        (f'{{"a":"{text}","b":"2"}}\n' * 9, "a.jsonl"),
    ):
        facts, rows = put(content.encode(encoding), name, encoding)
        assert rows[0] == {"a": text, "b": "2"}
        assert (facts.bad, facts.bytes_read) == (0, len(content.encode(encoding)))


def test_a_wrong_encoding_is_told(put: Put) -> None:
    with pytest.raises(ValueError, match="is not text in UTF-16"):
        put(b"a,b\n1,\xd8\xd8\xd8\xd8", "a.csv", "utf-16")


def test_numbers_that_json_does_not_have(put: Put) -> None:
    facts, rows = put(b'{"a":NaN}\n{"a":"NaN"}\n{"a":-Infinity}\n', "a.jsonl")
    assert rows == [{"a": "NaN"}]
    assert [told["message"] for told in facts.examples] == [
        "NaN is not JSON; write null or text.",
        "-Infinity is not JSON; write null or text.",
    ]


def test_a_folder_made_by_save_to_disk(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(ValueError, match=r"save_to_disk has made: .*load_from_disk\(FOLDER\)"):
        import_file(tmp_path, tmp_path / "out")


def test_a_folder_names_the_files_that_it_has(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.csv.gz", "c.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=r"a file is needed\. It has a\.jsonl, b\.csv\.gz\.$"):
        import_file(tmp_path, tmp_path / "out")


def test_the_first_row_says_why_no_shape_fits() -> None:
    rows = [{"messages": [{"role": "user", "content": 5}]}]
    assert why_not(rows) == (
        "messages holds turns of role and content. But the first row cannot be used: "
        "The content of turn 1 of messages is not text."
    )
    assert why_not([{"a": 1}]) == ""
