"""``python -m tests.bench.card``: memory and time of training steps on a real card, beside the
estimate. It takes torch and transformers and nothing of verl or Django, reaches for no network, and
is run from the root of the repository."""

import argparse
import json
import sys
from pathlib import Path

from tests.bench.card.cells import CARD, CPU, picked
from tests.bench.card.estimates import Figures
from tests.bench.card.report import again, table, with_errors

RESULTS = Path(__file__).with_name("results")


def main() -> None:
    options = _options()
    if options.compare:
        print(table(again(json.loads(options.compare.read_text(encoding="utf-8")))))
        return
    cells = picked(CARD if options.device == "cuda" else CPU, options.cells)
    if not cells:
        sys.exit(f"No cell's name holds any of {options.cells!r}.")
    _check(options.device)
    from tests.bench.card.measure import about, measure

    path = options.out
    if path is None and options.device == "cuda":
        path = RESULTS / f"{_plain(about('cuda')['card'])}.json"

    def keep(found: Figures) -> None:
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(with_errors(found), indent=1)
            path.write_text(text + "\n", encoding="utf-8")

    found = measure(cells, options.device, options.budget, keep)
    if not found["cells"]:
        sys.exit(f"{options.budget:g} s are too short for a cell.")
    print(table(with_errors(found)))
    if path:
        print(f"Kept in {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.card", description=__doc__)
    parser.add_argument(
        "--out", type=Path, help="file to keep the figures in; default: results/CARD.json"
    )
    parser.add_argument("--cells", default="", help="parts of the names, between commas")
    parser.add_argument("--budget", type=float, default=540, help="seconds in all")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda",
        help="cpu: tiny cells, to try the script itself; they say nothing of a card",
    )  # fmt: skip
    parser.add_argument(
        "--compare", type=Path, metavar="FILE",
        help="measure nothing: print the table of a kept file, with the estimates of today",
    )  # fmt: skip
    return parser.parse_args()


def _check(device: str) -> None:
    """Ends with a sentence where nothing can be measured."""
    try:
        import torch
    except ImportError:
        sys.exit("PyTorch is missing: run this with the Python of a training environment.")
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "PyTorch sees no GPU here, so there is nothing to measure. Run this on a machine with "
            "one, or try the script itself with --device cpu."
        )


def _plain(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


if __name__ == "__main__":
    main()
