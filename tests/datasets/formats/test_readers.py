"""JSON arrays, CSV and parquet: odd, damaged and lying files."""

import datetime
import decimal
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets.formats.source import Limits, SourceFacts, import_file, read_source

Rows = list[tuple[int, dict[str, Any]]]
Put = Callable[..., tuple[SourceFacts, Rows]]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Import bytes, or a table as parquet; the facts, and all rows with their lines."""

    def imported(content: bytes | pa.Table, name: str, **limits: int) -> tuple[SourceFacts, Rows]:
        path = tmp_path / "upload"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            pq.write_table(content, path, row_group_size=100)
        facts = import_file(path, tmp_path / "out", name=name, limits=Limits(**limits))
        rows = read_source(tmp_path / "out/rows.parquet", 0, 10_000)
        return facts, [(row.line, row.data) for row in rows]

    return imported


def only_upload(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == ["upload"]


# JSON


def test_an_array(put: Put) -> None:
    facts, rows = put(b'\xef\xbb\xbf [\n {"a": 1},\r\n {"a": [{"b": "]"}]} , {}\n]\n', "a.json")
    assert (facts.format, facts.rows, facts.bad) == ("json", 3, 0)
    assert rows == [(1, {"a": 1}), (2, {"a": [{"b": "]"}]}), (3, {})]


def test_a_single_object(put: Put) -> None:
    content = json.dumps({"a": {"b": [1, 2]}}, indent=1).encode()
    assert put(content, "a.json")[1] == [(1, {"a": {"b": [1, 2]}})]


def test_lines_in_a_file_called_json(put: Put) -> None:
    facts, rows = put(b'{"a":1}\n{"a":2}\n', "a.json")
    assert (facts.format, len(rows)) == ("jsonl", 2)


def test_items_that_are_no_rows(put: Put) -> None:
    items = ['{"n":1}', "2", '"x"', "null", "[3]", '{"n":1,"n":2}', '{"a":"\\ud800"}', '{"n":8}']
    facts, rows = put(f"[{','.join(items)}]".encode(), "a.json")
    assert facts.problem_counts == {"not_object": 4, "duplicate_key": 1, "encoding": 1}
    assert [told["line"] for told in facts.examples] == [2, 3, 4, 5, 6, 7]
    assert rows == [(1, {"n": 1}), (8, {"n": 8})]


def test_big_integers_in_an_array(put: Put) -> None:
    assert put(b'[{"n":123456789012345678901234567890}]', "a.json")[1] == [
        (1, {"n": 123456789012345678901234567890})
    ]


@pytest.mark.parametrize("size", [10, 2**20 - 30, 2**20 - 1, 3 * 2**20])
def test_items_across_blocks(put: Put, size: int) -> None:
    wanted = [{"a": "é" * size, "n": n} for n in range(3)]
    facts, rows = put(json.dumps(wanted, ensure_ascii=False).encode(), "a.json")
    assert [data for _, data in rows] == wanted
    assert facts.fields["a"] == {"types": {"str": 3}, "count": 3}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[\n{"a":1},\n{"a":}\n]', "broken at line 3: Expecting value"),
        (b'[{"a":1}\n{"a":2}]', "broken at line 2: expected , or ] after item 1"),
        (b'[{"a":1},\n', r"broken at line \d: "),
        (b'[{"a":1}', r"broken at line 1: "),
        (b'[{"a":"x', r"broken at line 1: "),
        (b'{"a":1', r"broken at line 1: "),
        (b'[{"a":1}] [', "there is more after the end of the JSON"),
        (b'{"a":1} {"a":2}', "there is more after the end of the JSON"),
        (b'[{"a":"\xff"}]', "it is not valid UTF-8"),
        (b'[{"a":"\0"}]', "broken at line 1: Invalid control character"),
        (b'[{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "go too deep"),
    ],
)
def test_broken_arrays(put: Put, tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        put(content, "a.json")
    assert "Nothing was imported" in str(caught.value)
    assert only_upload(tmp_path)


def test_a_value_that_does_not_end(put: Put) -> None:
    content = b'[{"a":1},{"a":"' + b"x" * 3_000_000 + b'"}]'
    with pytest.raises(ValueError, match="longer than the limit of 1 MiB, or does not end"):
        put(content, "a.json", max_line_bytes=2**20)


def test_a_cut_off_array_is_refused_wherever_it_ends(put: Put) -> None:
    content = json.dumps([{"a": ["x", {"b": 1.5e3}], "c": None}, {"d": "é"}]).encode()
    for cut in range(2, len(content)):
        with pytest.raises(ValueError, match="broken at line 1"):
            put(content[:cut], "a.json")


# CSV


def test_csv(put: Put) -> None:
    content = (
        '\ufeffprompt,answer\r\nplain,1\r\n"with ""quotes"", commas","two\r\nlines"\r\n\r\n,\r\n'
    )
    facts, rows = put(content.encode(), "a.csv")
    assert (facts.format, facts.bad) == ("csv", 0)
    assert rows == [
        (2, {"prompt": "plain", "answer": "1"}),
        (3, {"prompt": 'with "quotes", commas', "answer": "two\r\nlines"}),
        (6, {"prompt": "", "answer": ""}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters(put: Put, delimiter: str) -> None:
    content = f"a{delimiter}b\n1{delimiter}2\n".encode()
    assert put(content, "a.csv")[1] == [(2, {"a": "1", "b": "2"})]


def test_csv_rows_with_faults(put: Put) -> None:
    content = b"a,b\n1,2\n1,2,3\n1\nx\0,y\n\xff,y\n5,6"
    facts, rows = put(content, "a.csv")
    assert facts.problem_counts == {"columns": 2, "nul": 1, "encoding": 1}
    assert facts.examples[0]["message"] == "It has 3 fields; the header names 2."
    assert [told["line"] for told in facts.examples] == [3, 4, 5, 6]
    assert rows == [(2, {"a": "1", "b": "2"}), (7, {"a": "5", "b": "6"})]


def test_a_huge_field(put: Put) -> None:
    field = b"x" * 500_000  # more than csv's own limit
    assert put(b"a,b\n" + field + b",1\n", "a.csv")[1] == [(2, {"a": field.decode(), "b": "1"})]
    facts, rows = put(b"a,b\n" + field + b",1\n2,3\n", "a.csv", max_line_bytes=100_000)
    assert (facts.problem_counts, rows) == ({"too_long": 1}, [(3, {"a": "2", "b": "3"})])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,a\n1,2\n", "The header names a twice"),
        (b'a,b\n1,"never closed\n' + b"2,3\n" * 500, "begins on line 2 .* is a quote not closed"),
    ],
)
def test_csv_that_cannot_be_imported(put: Put, tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        put(content, "a.csv", max_line_bytes=1_000)
    assert only_upload(tmp_path)


def test_a_quote_that_is_open_at_the_end(put: Put) -> None:
    with pytest.raises(ValueError, match="begins on line 2 never ends: a quote is not closed"):
        put(b'a,b\n1,"never closed\n3,4\n', "a.csv")


def test_a_quote_in_the_middle(put: Put) -> None:
    facts, rows = put(b'a,b\n"say "hi" now",2\nit is 5" long,4\n5,6\n', "a.csv")
    assert facts.problem_counts == {"broken_csv": 1}
    assert facts.examples[0]["line"] == 2
    assert rows == [(3, {"a": 'it is 5" long', "b": "4"}), (4, {"a": "5", "b": "6"})]


def test_a_column_without_a_name(put: Put) -> None:
    assert put(b",a\n1,2\n", "a.csv")[1] == [(2, {"column_1": "1", "a": "2"})]


# Parquet


def test_odd_types(put: Put) -> None:
    when = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)
    table = pa.table(
        {
            "when": pa.array([when, None], pa.timestamp("ns")),
            "zoned": pa.array([when, None], pa.timestamp("us", "Europe/Berlin")),
            "day": pa.array([when.date(), None]),
            "time": pa.array([when.time(), None], pa.time64("ns")),
            "took": pa.array([datetime.timedelta(seconds=90), None], pa.duration("ns")),
            "money": pa.array([decimal.Decimal("1.10"), None]),
            "blob": pa.array([b"\x00\xff", None]),
            "x": pa.array([float("nan"), float("inf")]),
            "big": pa.array([2**64 - 1, 0], pa.uint64()),
            "word": pa.array(["a", "b"]).dictionary_encode(),
            "half": pa.array([1.5, None], pa.float16()),
            "turns": [[{"role": "user", "content": "hi"}], []],
            "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
            "large": pa.array(["x", None], pa.large_string()),
            "none": pa.nulls(2),
        }
    )
    facts, rows = put(table, "a.parquet")
    assert (facts.format, facts.rows, facts.bad) == ("parquet", 2, 0)
    data = rows[0][1]
    assert data["when"] == when.isoformat()
    assert data["zoned"].startswith("2026-01-02T0")
    assert (data["day"], data["time"]) == ("2026-01-02", "03:04:05.678901")
    assert (data["took"], data["money"], data["blob"]) == ("0:01:30", "1.10", "AP8=")
    assert (data["x"], data["big"], data["word"]) == (None, 2**64 - 1, "a")
    assert (data["half"], data["map"], data["none"]) == (1.5, {"k": 1}, None)
    assert data["turns"] == [{"role": "user", "content": "hi"}]
    assert rows[1][1]["turns"] == []
    assert rows[1][1]["when"] is rows[1][1]["blob"] is rows[1][1]["x"] is None


def test_parquet_rows_with_faults(put: Put) -> None:
    texts = pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary())
    bad_text = pa.Array.from_buffers(pa.string(), 3, texts.buffers())
    years = pa.array([0, 0, 400_000_000_000_000_000], pa.timestamp("us"))
    facts, rows = put(pa.table({"a": bad_text, "when": years}), "a.parquet")
    assert facts.problem_counts == {"encoding": 1, "value": 1}
    assert [line for line, _ in rows] == [1]
    assert [told["line"] for told in facts.examples] == [2, 3]


def test_a_parquet_row_over_the_limit(put: Put) -> None:
    table = pa.table({"a": ["x", "y" * 1_000]})
    facts, rows = put(table, "a.parquet", max_line_bytes=500)
    assert facts.problem_counts == {"too_long": 1}
    assert facts.examples[0]["message"] == "It is longer than the limit of 500 bytes."
    assert [line for line, _ in rows] == [1]


def test_two_columns_of_one_name(put: Put) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(ValueError, match="the column a twice"):
        put(table, "a.parquet")


def parquet_bytes(folder: Path) -> bytes:
    table = pa.table({"n": range(300), "text": [f"text number {n}" for n in range(300)]})
    pq.write_table(table, folder / "made", row_group_size=100, compression="zstd")
    content = (folder / "made").read_bytes()
    (folder / "made").unlink()
    return content


def test_damage_in_the_middle(put: Put, tmp_path: Path) -> None:
    content = bytearray(parquet_bytes(tmp_path))
    middle = len(content) // 3
    content[middle : middle + 200] = b"\xaa" * 200
    with pytest.raises(ValueError, match=r"damaged after row \d+: .* Nothing was imported"):
        put(bytes(content), "a.parquet")
    assert only_upload(tmp_path)


def test_a_footer_that_lies_about_its_rows(put: Put, tmp_path: Path) -> None:
    """The count of rows in the footer (thrift zigzag varint of 300) becomes 299."""
    content = parquet_bytes(tmp_path)
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") :]
    wanted = bytes([0x16, 0xD8, 0x04])  # field of type i64, 600 = 2 * 300
    assert footer.count(wanted) >= 1
    lying = content.replace(footer, footer.replace(wanted, bytes([0x16, 0xD6, 0x04])))
    with pytest.raises(ValueError, match=r"299 rows, but 300|damaged"):
        put(lying, "a.parquet")
    assert only_upload(tmp_path)


def test_any_damage_ends_in_a_sentence(put: Put, tmp_path: Path) -> None:
    """Cut off or changed at random: a refusal that is a sentence, or rows; nothing else."""
    content, chance, said = parquet_bytes(tmp_path), random.Random(7), []
    for attempt in range(200):
        place = chance.randrange(4, len(content))
        damaged = bytearray(content)
        damaged[place] ^= chance.randrange(1, 256)
        try:
            put(bytes(damaged[:place] if attempt % 5 == 0 else damaged), "a.parquet")
        except ValueError as error:
            said.append(str(error))
    assert len(said) > 40
    assert all(text[0].isupper() and text.endswith(".") and "\n" not in text for text in said)


@pytest.mark.parametrize(
    "content", [b"PAR1", b"PAR1" + b"\0" * 50, b"PAR1" + b"\xff" * 60 + b"PAR1"]
)
def test_what_only_looks_like_parquet(put: Put, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match="parquet file is damaged after row 0"):
        put(content, "a.parquet")
    assert only_upload(tmp_path)
