"""`python -m trainyard_node.average SPEC --out DIR`: an average over checkpoints of a run.

SPEC is JSON: "method" (uniform, last, ema, weighted), "checkpoints" ([{"path", "step", "value"}]),
"last" (how many), "decay", "higher_is_better", "dtype". A path is a Hugging Face folder or a
`global_step_N` folder of verl. An interrupted average goes on where it stopped when it is started
again.
"""

import sys
from collections.abc import Mapping
from typing import Any

from trainyard_node.average.spec import read_spec
from trainyard_node.merge.merging import Plan, plan
from trainyard_node.merge.program import run
from trainyard_node.merge.recipe import read_recipe


def main(argv: list[str] | None = None) -> int:
    """Average as the command line says."""
    return run("average", __doc__ or "", planned, argv)


def planned(spec: Mapping[str, Any]) -> tuple[Plan, dict[str, Any]]:
    average = read_spec(spec)
    facts = {"method": average.method, "checkpoints": average.told()}
    return plan(read_recipe(average.recipe())), facts


if __name__ == "__main__":
    sys.exit(main())
