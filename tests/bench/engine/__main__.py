"""``python -m tests.bench.engine``: merges of made models, beside mergekit's command in one run.

It takes the Python of the training environment and the packages of its tests, and is run from the
root of the repository. Models and results lie in a temporary folder, or in --folder, where the
models stay for the next run: 11 GB for all of 0.5b, and 19 GB more for 3b.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.bench.engine import equality, recipes
from tests.bench.engine.models import SIZES, Size, make
from tests.bench.engine.programs import Ran, ours, theirs, theirs_alone

Figures = dict[str, float]
COUNTS = (2, 4, 8)  # models
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engine", description=__doc__)
    measures: dict[str, Callable[[Path, argparse.Namespace], Figures]] = {
        "times": times, "inputs": inputs, "memory": memory, "equality": equal,
    }  # fmt: skip
    parser.add_argument("what", nargs="*", help=f"any of {', '.join(measures)}; default: all")
    parser.add_argument("--runs", type=int, default=5, help="of which the median counts")
    parser.add_argument("--sizes", default="0.5b,3b", help="of the models, between commas")
    parser.add_argument("--methods", default=",".join(recipes.METHODS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trainyard-bench-") as temporary:
        folder = options.folder or Path(temporary)
        for name in options.what or measures:
            figures = measures[name](folder, options)
            shown = equality.table(figures) if name == "equality" else _table(name, figures)
            print(json.dumps({name: figures}) if options.json else shown, flush=True)


def times(folder: Path, options: argparse.Namespace) -> Figures:
    """Each method by each program in turns, with what is written safely on the disk."""
    figures: Figures = {}
    size = SIZES[options.sizes.split(",")[0]]
    programs = {"ours": ours, "mergekit": theirs, "mergekit alone": theirs_alone}
    for method in options.methods.split(","):
        recipe = _recipe(folder, size, method, 2)
        found: dict[str, list[Ran]] = {name: [] for name in programs}
        for _ in range(options.runs):
            for name, program in programs.items():
                found[name].append(_once(program, recipe, folder / "made"))
        for name in programs:
            taken = [ran.alone or ran.seconds for ran in found[name]]
            figures[f"{method}, {name} [s]"] = median(taken)
            if name != "mergekit alone":
                figures[f"{method}, {name}, of all cores [s]"] = _busy(found[name])
        seconds = figures[f"{method}, ours [s]"]
        for name in ("mergekit", "mergekit alone"):
            figures[f"{method}, ours / {name}"] = seconds / figures[f"{method}, {name} [s]"]
        busy = [figures[f"{method}, {name}, of all cores [s]"] for name in ("ours", "mergekit")]
        figures[f"{method}, ours / mergekit, of all cores"] = busy[0] / busy[1]
    return figures


def inputs(folder: Path, options: argparse.Namespace) -> Figures:
    """The time by the number of models, and the memory."""
    figures: Figures = {}
    size = SIZES[options.sizes.split(",")[0]]
    for method in [each for each in options.methods.split(",") if each != "slerp"]:
        for count in COUNTS:
            recipe = _recipe(folder, size, method, count)
            runs = [_once(ours, recipe, folder / "made") for _ in range(options.runs)]
            figures[f"{method} of {count} [s]"] = median(ran.seconds for ran in runs)
            figures[f"{method} of {count}, of all cores [s]"] = _busy(runs)
            figures[f"{method} of {count}, anonymous [MiB]"] = _memory(runs)
    return figures


def memory(folder: Path, options: argparse.Namespace) -> Figures:
    """The anonymous memory by the size of the models."""
    figures: Figures = {}
    for size in map(SIZES.__getitem__, options.sizes.split(",")):
        for method in options.methods.split(","):
            ran = _once(ours, _recipe(folder, size, method, 2), folder / "made")
            figures[f"{method} of {size.name}, anonymous [MiB]"] = ran.anonymous / MIB
            figures[f"{method} of {size.name} [s]"] = ran.seconds
    return figures


def equal(folder: Path, options: argparse.Namespace) -> Figures:
    """How near each method is to mergekit and to double precision."""
    return equality.equality()


def _recipe(folder: Path, size: Size, method: str, count: int) -> Path:
    """Of `count` models; the base of SLERP and linear is one of them."""
    others = count if method == "ties" else count - 1
    base, *models = (make(folder, size, number) for number in range(others + 1))
    if method == "linear":
        models = [base, *models]
    return recipes.write(folder / f"{method}.yaml", method, base, models)


def _once(program: Callable[[Path, Path], Ran], recipe: Path, out: Path) -> Ran:
    shutil.rmtree(out, ignore_errors=True)
    try:
        return program(recipe, out)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _busy(runs: Sequence[Ran]) -> float:
    return median(ran.busy for ran in runs)


def _memory(runs: Sequence[Ran]) -> float:
    return max(ran.anonymous for ran in runs) / MIB


def _table(name: str, figures: Figures) -> str:
    return "\n".join([name, *(f"  {what:<52} {value:8.3f}" for what, value in figures.items())])


if __name__ == "__main__":
    main()
