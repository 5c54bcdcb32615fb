"""How a series is cut into blocks."""

from collections.abc import Iterator

from monitoring.series.column import Column

BLOCK = 1024  # points; a block of 8 KiB is read in one go


def blocks_of(column: Column, size: int = BLOCK) -> Iterator[Column]:
    """The column in parts of ``size`` points; only the last may be shorter."""
    for begin in range(0, len(column), size):
        yield column[begin : begin + size]
