"""Cut a part of a growing file into whole lines, each with its byte offset."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    position: int  # byte offset of the line's start in its file
    raw: bytes

    @property
    def text(self) -> str:
        """The line as text; bytes that are not UTF-8 are replaced."""
        return self.raw.decode("utf-8", "replace")


def whole_lines(data: bytes, offset: int) -> tuple[list[Line], int]:
    """Split ``data``, read at ``offset``, into whole lines.

    Returns the lines that are complete and not blank, and the offset after the last newline: a
    line that is still being written is left for the next read. Lines end at a newline alone,
    since progress bars hold carriage returns.
    """
    lines, position = [], offset
    for raw in data.split(b"\n")[:-1]:
        if text := raw.strip():
            lines.append(Line(position, text))
        position += len(raw) + 1
    return lines, position
