"""`python -m trainyard_node.average SPEC --out DIR`: an average over checkpoints of a run.

SPEC is JSON: "method" (uniform, last, ema, weighted, greedy), "checkpoints" ([{"path", "step",
"value"}]), "last" (how many), "decay", "higher_is_better", "dtype". A path is a Hugging Face folder
or a `global_step_N` folder of verl. An interrupted average goes on where it stopped when it is
started again.

greedy tries one checkpoint after the other in the average, the best "value" first, and keeps those
with which its score does not get worse; without values each is scored alone first. "score" says how
a model is scored: {"argv", "env", "metric", "step"}. The command finds it in `.NAME.scoring/model`
beside DIR, NAME being DIR's own, and writes its metrics where VERL_FILE_LOGGER_PATH says. A greedy
soup that was interrupted begins anew.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainyard_node.average.soup import chosen, plan_of
from trainyard_node.average.spec import Average, read_spec
from trainyard_node.export.told import Told
from trainyard_node.merge.merging import Plan
from trainyard_node.merge.program import run


def main(argv: list[str] | None = None) -> int:
    """Average as the command line says."""
    return run("average", __doc__ or "", planned, argv, decided)


def planned(spec: Mapping[str, Any]) -> tuple[Plan, dict[str, Any]]:
    """Of a greedy soup with all its candidates."""
    return _found(read_spec(spec))


def decided(spec: Mapping[str, Any], target: Path, told: Told) -> tuple[Plan, dict[str, Any]]:
    average = read_spec(spec)
    return _found(chosen(average, target, told) if average.score else average)


def _found(average: Average) -> tuple[Plan, dict[str, Any]]:
    return plan_of(average), {"method": average.method, "checkpoints": average.told()}


if __name__ == "__main__":
    sys.exit(main())
