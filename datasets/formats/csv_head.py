"""The beginning of a CSV file: what ends its lines, what separates its fields."""

import re
from typing import NamedTuple

DELIMITERS = ",;\t|"
QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
LINE_END = re.compile(rb"\r\n|\n|\r")
# Excel takes a first line such as sep=; as the delimiter, and not as a row.
HINT = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=([^\r\n])"?(?=\r|\n)', re.IGNORECASE)


class Layout(NamedTuple):
    """``is_hinted``: the first line only names the delimiter."""

    delimiter: str
    line_end: bytes
    is_hinted: bool


def layout_of(head: bytes) -> Layout:
    """Guess the layout from the header; what stands within quotes is not looked at."""
    hint = HINT.match(head)
    outside = QUOTED.sub(b"", head)
    end = LINE_END.search(outside)
    line_end = b"\r" if end and end[0] == b"\r" and end.end() < len(outside) else b"\n"
    if hint:
        return Layout(hint[1].decode("latin-1"), line_end, True)
    header = next((line for line in LINE_END.split(outside) if line.strip()), b"").decode("latin-1")
    return Layout(max(DELIMITERS, key=header.count), line_end, False)
