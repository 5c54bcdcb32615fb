import pytest

from monitoring.readers.lines import Line, whole_lines


@pytest.mark.parametrize(
    ("data", "offset", "lines", "end"),
    [
        (b"", 0, [], 0),
        (b"a\nb\n", 0, [Line(0, b"a"), Line(2, b"b")], 4),
        (b"a\nhalf", 100, [Line(100, b"a")], 102),
        (b"half", 7, [], 7),
        (b"\n\na\n", 0, [Line(2, b"a")], 4),
        (b"  \na\n", 0, [Line(3, b"a")], 5),
        (b"10%\r50%\r100%\n", 0, [Line(0, b"10%\r50%\r100%")], 13),
        (b"a\r\nb\r\n", 0, [Line(0, b"a"), Line(3, b"b")], 6),
        ("é\n日\n".encode(), 0, [Line(0, "é".encode()), Line(3, "日".encode())], 7),
        (b"\xff\xfe\n", 0, [Line(0, b"\xff\xfe")], 3),
        (b"a\x0bb\x85c\n", 0, [Line(0, b"a\x0bb\x85c")], 6),
        ("a\u2028b\n".encode(), 0, [Line(0, "a\u2028b".encode())], 6),
    ],
)
def test_whole_lines(data: bytes, offset: int, lines: list[Line], end: int) -> None:
    assert whole_lines(data, offset) == (lines, end)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert Line(0, b"a\xff").text == "a\ufffd"


def test_any_cut_gives_the_same_lines() -> None:
    data = "one\ntwo 日本\r3%\r\n\nlast\n".encode()
    whole, end = whole_lines(data, 0)
    for cut in range(len(data)):
        first, position = whole_lines(data[:cut], 0)
        rest, last = whole_lines(data[position:], position)
        assert first + rest == whole
        assert last == end
