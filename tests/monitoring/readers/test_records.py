from datetime import UTC, datetime

import pytest

from monitoring.readers.lines import Line
from monitoring.readers.records import Record, read_records


def read(*texts: str) -> list[Record]:
    return list(read_records([Line(n, text.encode()) for n, text in enumerate(texts)]))


def test_a_record() -> None:
    assert read('{"at": 1700000000.5, "kind": "started", "pid": 7}') == [
        Record(
            0,
            datetime(2023, 11, 14, 22, 13, 20, 500000, tzinfo=UTC),
            {"kind": "started", "pid": 7},
        )
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[1]",
        "3",
        "null",
        '"at"',
        "{}",
        '{"at": null}',
        '{"at": "soon"}',
        '{"at": NaN}',
        '{"at": Infinity}',
        '{"at": 1e300}',
        '{"at": [1]}',
        "[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_left_out(text: str) -> None:
    assert [record.position for record in read(text, '{"at": 1}')] == [1]


def test_what_no_database_holds_is_made_readable() -> None:
    [record] = read('{"at": 1, "message": "a\\u0000b", "x": {"y\\ud800": ["\\ud83d\\ude82", NaN]}}')
    assert record.data == {"message": "a\ufffdb", "x": {"y\ufffd": ["🚂", None]}}
