"""What something was made from and what was made from it, as one drawing: boxes and lines.

What was made stands below what it was made from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from jobs.artifacts.lineage import Node, Tree
from platform_site.drawing import Drawing, drawing_of

MOST_BOXES = 60
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
class Graph:
    """``left_out`` counts what is known and not drawn; ``is_cut``: there is more than is known."""

    boxes: Sequence[Box]
    drawing: Drawing[Key]
    left_out: int
    is_cut: bool


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
    drawing = drawing_of(shown, kept)
    boxes = [Box(node, *drawing.places[key], key == up.root.key) for key, node in shown.items()]
    return Graph(boxes, drawing, len(nodes) - len(shown), up.is_cut or down.is_cut)


def _by_level(root: Node) -> Iterator[Sequence[tuple[Node, Node]]]:
    """The nodes of a level with what follows from each, from the root on."""
    level = [root]
    while level:
        pairs = [(node, child) for node in level for child in node.more]
        yield pairs
        level = [child for _, child in pairs]
