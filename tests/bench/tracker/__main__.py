"""``draw`` measures random cells and writes JSON lines; ``compare`` holds the estimate to them."""

import argparse
import gc
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench.tracker.cells import Cell, dense_cells, other_cells


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tracker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    draw = commands.add_parser("draw", help="measure random cells, one JSON line each")
    draw.add_argument("--seed", type=int, required=True)
    draw.add_argument("--cells", type=int, default=20)
    draw.add_argument(
        "--kinds", nargs="*", help="dense or near alone, or others such as lora; all others"
    )
    draw.add_argument("--layers", type=int, default=1000, help="of a model at most: for speed")
    compare = commands.add_parser("compare", help="the error of the estimate, by group")
    compare.add_argument("files", nargs="+", type=Path)
    compare.add_argument("--each", action="store_true", help="print each cell as well")
    compare.add_argument("--margin", type=float, default=0.0, help="added before it is judged")
    given = parser.parse_args()
    if given.command == "draw":
        _draw(given.seed, given.cells, tuple(given.kinds or ()), given.layers)
    else:
        from tests.bench.tracker.compare import compared

        compared(given.files, each=given.each, margin=given.margin)


def _draw(seed: int, count: int, kinds: tuple[str, ...], layers: int) -> None:
    from tests.bench.tracker.step import measured

    for cell in itertools.islice(_cells(seed, kinds), count):
        cell.config["num_hidden_layers"] = min(layers, cell.config["num_hidden_layers"])
        print(json.dumps({"cell": cell.written(), **_told(cell, measured)}), flush=True)
        gc.collect()


def _cells(seed: int, kinds: tuple[str, ...]) -> Iterator[Cell]:
    if kinds == ("near",):
        from tests.bench.tracker.near import near_cells

        return near_cells(seed)
    return dense_cells(seed) if kinds == ("dense",) else other_cells(seed, kinds)


def _told(cell: Cell, measured: Callable[[Cell], dict[str, Any]]) -> dict[str, Any]:
    try:
        return measured(cell)
    except Exception as error:  # a setting that cannot be measured is told, not hidden
        print(f"{cell}: {error!r}", file=sys.stderr)
        return {"error": repr(error)[:300]}


if __name__ == "__main__":
    main()
