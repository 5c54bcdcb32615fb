"""Import: what is counted, what is kept exactly, and that nothing is half-imported."""

import errno
import gzip
import hashlib
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datasets.formats.source import Limits, SourceFacts, import_file, read_source

Put = Callable[..., tuple[SourceFacts, list[tuple[int, dict[str, Any]]]]]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Import bytes; the facts, and all rows with their lines."""

    def imported(
        content: bytes, name: str = "a.jsonl", **limits: int
    ) -> tuple[SourceFacts, list[tuple[int, dict[str, Any]]]]:
        (tmp_path / "upload").write_bytes(content)
        out = tmp_path / "out"
        facts = import_file(tmp_path / "upload", out, name=name, limits=Limits(**limits))
        assert sorted(path.name for path in out.iterdir()) == ["problems.jsonl", "rows.parquet"]
        rows = read_source(out / "rows.parquet", 0, 10_000)
        assert len(rows) == facts.rows
        return facts, [(row.line, row.data) for row in rows]

    return imported


def jsonl(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_facts(put: Put, tmp_path: Path) -> None:
    content = jsonl({"q": "a", "n": 1}, {"q": "b", "n": None}, {"q": ["c"], "x": {"y": True}})
    facts, rows = put(content)
    assert facts.format == "jsonl"
    assert (facts.rows, facts.bad, facts.problem_counts, facts.examples) == (3, 0, {}, [])
    assert facts.bytes_read == facts.unpacked_bytes == len(content)
    assert facts.sha256 == hashlib.sha256(content).hexdigest()
    assert facts.fields == {
        "q": {"types": {"str": 2, "list": 1}, "count": 3},
        "n": {"types": {"int": 1, "null": 1}, "count": 2},
        "x": {"types": {"object": 1}, "count": 1},
    }
    assert rows[2] == (3, {"q": ["c"], "x": {"y": True}})
    assert SourceFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


def test_any_row_is_read_by_its_place(put: Put, tmp_path: Path) -> None:
    put(jsonl(*({"n": n} for n in range(5_000))))
    rows = tmp_path / "out" / "rows.parquet"
    assert pq.ParquetFile(rows).num_row_groups == 3
    assert [(row.line, row.data) for row in read_source(rows, 1_999, 3)] == [
        (2_000, {"n": 1_999}),
        (2_001, {"n": 2_000}),
        (2_002, {"n": 2_001}),
    ]
    assert [row.data["n"] for row in read_source(rows, 4_999, 5)] == [4_999]
    assert read_source(rows, 5_000, 5) == []


def test_a_broken_line_is_named_counted_and_passed(put: Put, tmp_path: Path) -> None:
    lines = jsonl(*({"n": n} for n in range(1, 101))).splitlines(keepends=True)
    lines[72] = b'{"n": 73, "text": "never closed\n'
    facts, rows = put(b"".join(lines))
    assert (facts.rows, facts.bad, facts.problem_counts) == (99, 1, {"broken_json": 1})
    assert [line for line, _ in rows] == [n for n in range(1, 101) if n != 73]
    [told] = [json.loads(line) for line in (tmp_path / "out/problems.jsonl").open()]
    assert told == facts.examples[0]
    assert (told["line"], told["code"]) == (73, "broken_json")
    assert told["message"].startswith("It is not JSON: ")
    assert "never closed" in told["excerpt"]


def test_problems_are_counted_beyond_those_that_are_kept(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.formats.sink.MOST_PROBLEMS", 10)
    facts, _ = put(b"{\n" * 25 + b"[1]\n" * 5 + jsonl({"n": 1}))
    assert facts.problem_counts == {"broken_json": 25, "not_object": 5}
    assert len((tmp_path / "out/problems.jsonl").read_text().splitlines()) == 10
    assert [told["line"] for told in facts.examples] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n \t\r\n"])
@pytest.mark.parametrize("last", [b"\n", b""])
@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_marks_and_line_ends(put: Put, mark: bytes, end: bytes, last: bytes) -> None:
    facts, rows = put(mark + b'{"a":"\xc3\xa4"}' + end + b'{"a":2}' + last)
    assert [data for _, data in rows] == [{"a": "ä"}, {"a": 2}]
    assert rows[1][0] == 1 + end.count(b"\n")
    assert facts.bad == 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"a":"x\0y"}', "nul"),
        (b'{"a":1}\0', "nul"),
        (b'{"a":"\\ud83d"}', "encoding"),
        (b'{"a":"\\ude00\\ud83d"}', "encoding"),
        (b'{"\\ud83d":1}', "encoding"),
        (b'{"a":123456789012345678901,"b":"\\ud83d"}', "encoding"),
        (b'{"a":"\xff"}', "encoding"),
        (b'{"a":"\xed\xa0\x80"}', "encoding"),
        (b'{"a":1,"a":2}', "duplicate_key"),
        (b'{"a":{"b":1,"\\u0062":2}}', "duplicate_key"),
        (b'{"a":NaN}', "broken_json"),
        (b'{"a":-Infinity}', "broken_json"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "too_deep"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
        (b'{"a":123456789012345678901' + b',"b":' + b"[" * 9_000 + b"]" * 9_000 + b"}", "too_deep"),
        (b'{"a":1' + b"0" * 5_000 + b"}", "value"),
        (b"[1,2]", "not_object"),
        (b'"text"', "not_object"),
        (b"null", "not_object"),
        (b"{'a':1}", "broken_json"),
        (b'{"a":1}{"a":2}', "broken_json"),
    ],
)
def test_one_bad_row_among_good_ones(put: Put, line: bytes, code: str) -> None:
    facts, rows = put(jsonl({"n": 1}) + line + b"\n" + jsonl({"n": 3}))
    assert facts.problem_counts == {code: 1}
    assert facts.examples[0]["line"] == 2
    assert facts.examples[0]["message"].endswith(".")
    json.dumps(facts.to_json(), allow_nan=False).encode()
    assert "\0" not in str(facts.to_json())
    assert rows == [(1, {"n": 1}), (3, {"n": 3})]


@pytest.mark.parametrize(
    "row",
    [
        {"n": 2**63 - 1, "m": -(2**63), "u": 2**64 - 1},
        {"n": 2**64, "m": -(2**63) - 1, "huge": 10**400},
        {"x": 0.1, "y": 1e-300, "z": 1.0, "zero": -0.0},
        {"text": 'quote " \\ / \b\f\n\r\t \u2028 \x00 é 😀', "": "no name", "a.b": 1},
        {"deep": [[[[[{"a": [{}]}]]]]]},
    ],
)
def test_values_are_kept_exactly(put: Put, row: dict[str, Any]) -> None:
    _, [(_, data)] = put(jsonl(row))
    assert json.dumps(data) == json.dumps(row)


def test_a_line_over_the_limit_is_one_bad_row(put: Put) -> None:
    long = jsonl({"a": "x" * 1_000})
    facts, rows = put(jsonl({"n": 1}) + long + jsonl({"n": 3}) + long, max_line_bytes=500)
    assert facts.problem_counts == {"too_long": 2}
    assert facts.examples[0]["message"] == "It is longer than the limit of 500 bytes."
    assert [told["line"] for told in facts.examples] == [2, 4]
    assert rows == [(1, {"n": 1}), (3, {"n": 3})]


def test_rows_over_the_limit(put: Put) -> None:
    with pytest.raises(ValueError, match="more rows than the limit of 2"):
        put(jsonl({"n": 1}) * 3, max_rows=2)


def test_gz(put: Put) -> None:
    content = jsonl({"n": 1}, {"n": 2})
    packed = gzip.compress(content[:10]) + gzip.compress(content[10:]) + b"\0" * 512
    facts, rows = put(packed, "a.jsonl.gz")
    assert [data["n"] for _, data in rows] == [1, 2]
    assert (facts.bytes_read, facts.unpacked_bytes) == (len(packed), len(content))
    assert facts.sha256 == hashlib.sha256(packed).hexdigest()


@pytest.mark.parametrize("name", ["a.jsonl", "a.gz", "upload"])
def test_gz_is_seen_whatever_the_name(put: Put, name: str) -> None:
    assert put(gzip.compress(jsonl({"n": 1})), name)[1] == [(1, {"n": 1})]


def test_a_zip_bomb(put: Put, tmp_path: Path) -> None:
    bomb = gzip.compress(jsonl({"a": "x"}) + b" " * (80 * 2**20) + b"\n", 9)
    with pytest.raises(ValueError, match="more than 200 times its size, which is the limit"):
        put(bomb, "a.jsonl.gz")
    with pytest.raises(ValueError, match="unpacks to more than the limit of 1 MiB"):
        put(bomb, "a.jsonl.gz", max_unpacked_bytes=2**20)
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_damaged_gz(put: Put, tmp_path: Path) -> None:
    """Cut off after each byte, or with any byte changed: a sentence, or the same rows."""
    content = jsonl({"n": 1, "text": "some text"}, {"n": 2, "text": "other"})
    packed = gzip.compress(content)
    for cut in range(2, len(packed)):
        with pytest.raises(ValueError, match=r"(end in the middle|is empty)"):
            put(packed[:cut], "a.jsonl.gz")
    for place in range(10, len(packed)):
        changed = bytes([*packed[:place], packed[place] ^ 0x55, *packed[place + 1 :]])
        with pytest.raises(ValueError, match=r"^(The|What|None|It|a\.jsonl)"):
            put(changed, "a.jsonl.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "a.jsonl", "The file is empty"),
        (b"\xef\xbb\xbf \n\r\n", "a.json", "The file is empty"),
        (b"[]", "a.json", "The file is empty"),
        (b"a,b\n", "a.csv", "The file is empty"),
        (gzip.compress(b"", mtime=0), "a.jsonl.gz", "The file is empty"),
        (b'[1, "a", null]', "a.json", r"None of 3 rows can be read. Row 1: It is int"),
        (b"{\n", "a.jsonl", "None of 1 row can be read. Row 1: It is not JSON"),
        (b"PK\x03\x04....", "a.jsonl", "a zip archive"),
        (b"\xff\xfe{\0", "a.jsonl", "UTF-16 text: name the encoding utf-16"),
        (b"\x28\xb5\x2f\xfd..", "a.jsonl.zst", "packed with zstd: unpack it"),
        (b'{"a":1}\n', "a.parquet", "says that it is parquet, but it holds json"),
        (b'{"a":1}\n{"a":2}\n', "a.parquet", "says that it is parquet, but it holds jsonl"),
        (b'[{"a":1}]', "a.jsonl", "it holds a JSON array: call it .json"),
        (b'[\n {"a":1}\n]', "a.jsonl", "it holds a JSON array: call it .json"),
        (b"PAR1....PAR1", "a.csv", "says that it is csv, but it holds parquet"),
        (b'{"a":1}\n', "a.jsonl.gz", "says that it is packed with gzip, and it is not"),
        (b"hello\n", "a.txt", "What a.txt holds is not known: .* Plain text has no rows: write"),
        (b"\xff\xff\xff\xff\x10", "data.arrow", "an Arrow file: save it as parquet, with"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a.parquet", "git lfs pull"),
    ],
)
def test_what_cannot_be_imported(
    put: Put, tmp_path: Path, content: bytes, name: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        put(content, name)
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"There is no file a\.jsonl\."):
        import_file(tmp_path / "a.jsonl", tmp_path / "out")
    with pytest.raises(ValueError, match="is a folder; a file is needed"):
        import_file(tmp_path, tmp_path / "out", name="a.jsonl")
    assert list(tmp_path.iterdir()) == []


class Watch:
    """Progress that does something once half is read."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.seen: list[tuple[int, int]] = []
        self._act = act

    def __call__(self, done: int, total: int) -> None:
        self.seen.append((done, total))
        if len(self.seen) == 2:
            self._act()


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Several blocks of rows, beside an earlier import that must stay."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rows.parquet").write_text("earlier")
    path = tmp_path / "long.jsonl"
    path.write_bytes(jsonl({"n": 1, "text": "x" * 900}) * 5_000)
    return path


def untouched(path: Path) -> bool:
    folder = path.parent
    kept = {found.name for found in folder.iterdir()} - {path.name}
    return kept == {"out"} and (folder / "out/rows.parquet").read_text() == "earlier"


def test_progress_in_bytes_to_the_end(long: Path) -> None:
    watch = Watch(lambda: None)
    facts = import_file(long, long.parent / "out", progress=watch)
    size = long.stat().st_size
    assert watch.seen[-1] == (size, size)
    assert len(watch.seen) >= 4
    assert facts.rows == 5_000
    assert [path.name for path in long.parent.iterdir() if path.name.startswith(".")] == []


def test_cancelled(long: Path) -> None:
    def cancel() -> None:
        raise InterruptedError("cancelled by hand")

    with pytest.raises((InterruptedError, ValueError), match="cancelled by hand"):
        import_file(long, long.parent / "out", progress=Watch(cancel))
    assert untouched(long)


def test_cancelled_by_an_exception_of_the_caller(long: Path) -> None:
    class Cancelled(Exception):
        pass

    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        import_file(long, long.parent / "out", progress=Watch(cancel))
    assert untouched(long)


def test_a_file_that_shrinks_or_grows_while_it_is_read(long: Path) -> None:
    for size in (1_500_000, 9_000_000):
        watch = Watch(partial(os.truncate, long, size))
        with pytest.raises(ValueError, match="changed while it was read"):
            import_file(long, long.parent / "out", progress=watch)
        assert untouched(long)


def test_a_file_that_vanishes_while_it_is_read(long: Path) -> None:
    facts = import_file(long, long.parent / "out", progress=Watch(long.unlink))
    assert facts.rows == 5_000  # the open file is still whole


def test_a_parquet_that_vanishes_while_it_is_read(long: Path) -> None:
    import_file(long, long.parent / "out")
    table = long.with_name("table.parquet")
    (long.parent / "out/rows.parquet").rename(table)
    long.unlink()
    (long.parent / "out/rows.parquet").write_text("earlier")
    with pytest.raises(ValueError, match="No such file"):
        import_file(table, long.parent / "out", progress=lambda *_: table.unlink(missing_ok=True))
    assert untouched(table)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device")])
def test_a_full_disk(long: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(ValueError, match=r"The disk is full: .* Nothing was kept; free some space"):
        import_file(long, long.parent / "out")
    assert untouched(long)


def test_what_a_killed_import_left_is_removed(long: Path) -> None:
    left = long.parent / ".out.12345678.tmp"
    left.mkdir()
    (left / "rows.parquet").write_text("half")
    import_file(long, long.parent / "out")
    assert not left.exists()
