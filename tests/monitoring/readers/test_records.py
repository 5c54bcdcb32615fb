from datetime import UTC, datetime

import pytest

from monitoring.readers.lines import Line
from monitoring.readers.records import Record, Records, read_records


def read(*texts: str) -> list[Record]:
    return all_of(*texts).found


def all_of(*texts: str) -> Records:
    return read_records([Line(n, text.encode()) for n, text in enumerate(texts)], dict)


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
        '{"at": -1}',
        '{"at": 253402300799}',
        '{"at": 1, "x": ' + "[" * 9 + "]" * 9 + "}",
        '{"at": 1, "x": ' + "[" * 900 + "]" * 900 + "}",
        '{"at": 1, "x": "' + "y" * (1 << 16) + '"}',
        "[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_left_out(text: str) -> None:
    records = all_of(text, '{"at": 1}')
    assert [record.position for record in records.found] == [1]
    assert [line.position for line in records.broken] == [0]


def test_what_the_reader_of_a_file_refuses_is_left_out() -> None:
    def refuse(data: dict[str, object]) -> dict[str, object]:
        raise ValueError(data)

    records = read_records([Line(7, b'{"at": 1}')], refuse)
    assert (records.found, [line.position for line in records.broken]) == ([], [7])


def test_what_no_database_holds_is_made_readable() -> None:
    [record] = read('{"at": 1, "message": "a\\u0000b", "x": {"y\\ud800": ["\\ud83d\\ude82", NaN]}}')
    assert record.data == {"message": "a\ufffdb", "x": {"y\ufffd": ["🚂", None]}}
