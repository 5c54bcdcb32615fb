"""Cut a part of a growing file into whole lines, each with its byte offset."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    position: int  # byte offset of the line's start in its file
    text: str


def whole_lines(data: bytes, offset: int) -> tuple[list[Line], int]:
    """Split ``data``, read at ``offset``, into whole lines.

    Returns the complete lines that are not blank, and the offset after the last newline; the next
    read gets a line that is still being written. Bytes that are not UTF-8 are replaced. Lines end
    at a newline alone, since progress bars hold carriage returns.
    """
    lines, position = [], offset
    for raw in data.split(b"\n")[:-1]:
        text = raw.decode("utf-8", "replace").strip()
        if text:
            lines.append(Line(position, text))
        position += len(raw) + 1
    return lines, position
