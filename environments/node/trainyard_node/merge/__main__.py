"""`python -m trainyard_node.merge RECIPE --out DIR`: merge models as a recipe says.

RECIPE is a YAML file as mergekit reads it, or - for standard input; --text gives the recipe itself.
An interrupted merge goes on where it stopped when it is started again. With --check nothing is
made.

Exit codes: 0 when DIR is there and whole; 1 when the merge is refused, with the reason as the last
line; 2 for wrong use.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from trainyard_node.export.program import TEXT, ended, parsed
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told
from trainyard_node.merge.merging import SHARD, check, plan
from trainyard_node.merge.program import facts_of, make
from trainyard_node.merge.recipe import read_recipe


def main(argv: Sequence[str] | None = None) -> int:
    """Merge as the command line says; see the module's exit codes."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.merge", description=__doc__)
    recipe = parser.add_mutually_exclusive_group(required=True)
    recipe.add_argument("recipe", nargs="?", help="a YAML file, or -")
    recipe.add_argument(TEXT, metavar="YAML", help="the recipe itself")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--check", action="store_true", help="only say whether it can be done")
    parser.add_argument("--shard-bytes", type=int, default=SHARD, metavar="N")
    arguments = parsed(parser, argv)
    target = Path(arguments.out).expanduser().absolute()
    return ended("merge", target, lambda told: _work(arguments, target, told))


def _work(arguments: argparse.Namespace, target: Path, told: Told) -> None:
    text = _text(arguments.recipe) if arguments.text is None else arguments.text
    made = plan(read_recipe(text), max(1, arguments.shard_bytes))
    method = {"method": made.recipe.method.name}
    if arguments.check:
        check(made, target)
        print(json.dumps({**facts_of(made), **method}), flush=True)
    else:
        make(made, target, told, method)


def _text(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"The recipe {path} cannot be read: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
