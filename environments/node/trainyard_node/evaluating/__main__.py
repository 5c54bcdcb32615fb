"""`python -m trainyard_node.evaluating SPEC --out DIR`: what a model is worth.

SPEC is JSON: "model", "way" (loss, answers, tasks), "files", and what else `spec.py` lists. DIR
gets `evaluation.json` and `scores.jsonl`; answers lie in `validation/STEP.jsonl` of the run
directory, or of DIR outside of a run. An interrupted evaluation goes on after what it has kept when
it is started again. With --check nothing is made, and no weights are loaded.

Exit codes: 0 when it is there; 1 when it is refused, with the reason as the last line; 2 for wrong
use.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trainyard_node.evaluating.spec import read_spec
from trainyard_node.export.program import add_spec, ended, parsed, spec_of
from trainyard_node.export.told import Told


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; see the module's exit codes."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.evaluating",
                                     description=__doc__)  # fmt: skip
    add_spec(parser)
    parser.add_argument("--check", action="store_true", help="only say whether it can be done")
    arguments = parsed(parser, argv)
    target = Path(arguments.out).expanduser().absolute()

    def work(told: Told) -> None:
        asked = read_spec(spec_of(arguments))
        # torch and transformers take seconds, and a wrong spec needs neither.
        from trainyard_node.evaluating.program import check, evaluate

        if arguments.check:
            check(asked, target)
        else:
            evaluate(asked, target, told)

    return ended("evaluating", target, work)


if __name__ == "__main__":
    # With -m Python looks into the folder that it is started in first, and what is named datasets
    # there would be taken for the package.
    sys.path[:] = [path for path in sys.path if path not in ("", str(Path.cwd()))]
    sys.exit(main())
