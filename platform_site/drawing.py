"""Places what follows from each other as boxes and lines: each below all that lead to it.

All figures are in the units of the drawing.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

WIDE, HIGH, GAP, BETWEEN = 220, 64, 20, 44
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Line:
    """From box to box; one that passes by other boxes goes around them."""

    corners: Sequence[tuple[int, int]]

    @property
    def points(self) -> str:
        """As SVG writes them."""
        return " ".join(f"{x},{y}" for x, y in self.corners)


@dataclass(frozen=True)
class Drawing(Generic[Key]):
    """Where the upper left corner of each box is, and the lines."""

    places: Mapping[Key, tuple[int, int]]
    lines: Sequence[Line]

    @property
    def width(self) -> int:
        corners = [x for line in self.lines for x, _ in line.corners]
        return max([*corners, *(x + WIDE for x, _ in self.places.values())], default=0) + GAP

    @property
    def height(self) -> int:
        return max((y + HIGH for _, y in self.places.values()), default=0) + GAP


def drawing_of(keys: Iterable[Key], edges: Sequence[tuple[Key, Key]]) -> Drawing[Key]:
    """The boxes of these keys, in their order within a level; an edge leads down."""
    levels = levels_of(list(keys), edges)
    places, ends = dict[Key, tuple[int, int]](), dict[int, int]()  # where each level ends
    for key, level in levels.items():
        x, y = ends.get(level, 0) + GAP, GAP + level * (HIGH + BETWEEN)
        places[key] = (x, y)
        ends[level] = x + WIDE
    return Drawing(places, [_line(places, levels, edge, ends) for edge in edges])


def levels_of(keys: Sequence[Key], edges: Sequence[tuple[Key, Key]]) -> dict[Key, int]:
    """Each below all that lead to it; that to which nothing leads just above what it led to."""
    levels = dict.fromkeys(keys, 0)
    for _ in keys:  # a longest way has no more steps than there are boxes
        changed = False
        for above, below in edges:
            if levels[below] <= levels[above] < len(keys):
                levels[below], changed = levels[above] + 1, True
        if not changed:
            break
    first = {above for above, _ in edges} - {below for _, below in edges}
    for key in first:
        levels[key] = min(levels[below] for above, below in edges if above == key) - 1
    return levels


def _line(
    places: Mapping[Key, tuple[int, int]], levels: Mapping[Key, int], edge: tuple[Key, Key],
    ends: dict[int, int],
) -> Line:  # fmt: skip
    """Right of all that stands in the levels between, which then end further to the right."""
    (left, top), (right, bottom) = places[edge[0]], places[edge[1]]
    half = WIDE // 2
    corners = [(left + half, top + HIGH), (right + half, bottom)]
    if between := range(levels[edge[0]] + 1, levels[edge[1]]):
        x = max(ends.get(level, 0) for level in between) + GAP
        ends.update(dict.fromkeys(between, x))
        corners[1:1] = [(x, top + HIGH + BETWEEN), (x, bottom - BETWEEN)]
    return Line(corners)
