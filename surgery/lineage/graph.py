"""What something was made from and what was made from it, as one drawing: boxes and lines.

What was made stands below what it was made from. All figures are in the units of the drawing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from jobs.artifacts.lineage import Node, Tree

MOST_BOXES = 60
WIDE, HIGH, GAP, BETWEEN = 220, 64, 20, 44
LETTERS = 26  # of a name that fit into a box

Key = tuple[bool, int]


@dataclass(frozen=True)
class Box:
    node: Node
    x: int
    y: int
    is_root: bool

    @property
    def name(self) -> str:
        row = self.node.row
        text = str(row.name if self.node.is_job else getattr(row, "label", row))
        return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"

    @property
    def digest(self) -> str:
        """The beginning of its SHA-256; empty where nobody computed it."""
        return str(getattr(self.node.row, "digest", ""))[:12]


@dataclass(frozen=True)
class Line:
    """From box to box; one that passes by other boxes goes around them."""

    corners: Sequence[tuple[int, int]]

    @property
    def points(self) -> str:
        """As SVG writes them."""
        return " ".join(f"{x},{y}" for x, y in self.corners)


@dataclass(frozen=True)
class Graph:
    """``left_out`` counts what is known and not drawn; ``is_cut``: there is more than is known."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    left_out: int
    is_cut: bool

    @property
    def width(self) -> int:
        corners = [x for line in self.lines for x, _ in line.corners]
        return max([*corners, *(box.x + WIDE for box in self.boxes)]) + GAP

    @property
    def height(self) -> int:
        return max(box.y for box in self.boxes) + HIGH + GAP


def drawn(up: Tree, down: Tree) -> Graph:
    """The two trees of one row, whose root they share, as one drawing. The nearest are drawn."""
    nodes = {up.root.key: up.root}
    edges = list[tuple[Key, Key]]()
    for above, below in zip_longest(_by_level(up.root), _by_level(down.root), fillvalue=()):
        for _, child in (*above, *below):
            nodes.setdefault(child.key, child)
        edges += [(child.key, node.key) for node, child in above]
        edges += [(node.key, child.key) for node, child in below]
    shown = dict(list(nodes.items())[:MOST_BOXES])
    kept = list(dict.fromkeys(edge for edge in edges if edge[0] in shown and edge[1] in shown))
    levels = _levels(list(shown), kept)
    boxes, ends = dict[Key, Box](), dict[int, int]()  # where each level ends on the right
    for key, node in shown.items():
        x, y = ends.get(levels[key], 0) + GAP, GAP + levels[key] * (HIGH + BETWEEN)
        boxes[key] = Box(node, x, y, key == up.root.key)
        ends[levels[key]] = x + WIDE
    lines = [_line(boxes, levels, edge, ends) for edge in kept]
    return Graph(list(boxes.values()), lines, len(nodes) - len(shown), up.is_cut or down.is_cut)


def _by_level(root: Node) -> Iterator[Sequence[tuple[Node, Node]]]:
    """The nodes of a level with what follows from each, from the root on."""
    level = [root]
    while level:
        pairs = [(node, child) for node in level for child in node.more]
        yield pairs
        level = [child for _, child in pairs]


def _levels(keys: Sequence[Key], edges: Sequence[tuple[Key, Key]]) -> dict[Key, int]:
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
    boxes: Mapping[Key, Box], levels: Mapping[Key, int], edge: tuple[Key, Key], ends: dict[int, int]
) -> Line:
    """Right of all that stands in the levels between, which then end further to the right."""
    above, below = boxes[edge[0]], boxes[edge[1]]
    half = WIDE // 2
    corners = [(above.x + half, above.y + HIGH), (below.x + half, below.y)]
    if between := range(levels[edge[0]] + 1, levels[edge[1]]):
        x = max(ends.get(level, 0) for level in between) + GAP
        ends.update(dict.fromkeys(between, x))
        corners[1:1] = [(x, above.y + HIGH + BETWEEN), (x, below.y - BETWEEN)]
    return Line(corners)
