"""`python -m trainyard_node.convert SPEC --out DIR`: a model as a Hugging Face folder.

SPEC is JSON: "source", a Hugging Face folder or a `global_step_N` folder of verl, and what shall
be another: "dtype", "shard_bytes", "vocab" (rows of the vocabulary), "layers" (in their new order).
An interrupted conversion goes on where it stopped when it is started again.
"""

import sys
from collections.abc import Mapping
from typing import Any

from trainyard_node.convert.spec import read_spec
from trainyard_node.merge.merging import Plan
from trainyard_node.merge.program import run


def main(argv: list[str] | None = None) -> int:
    """Convert as the command line says."""
    return run("convert", __doc__ or "", planned, argv)


def planned(spec: Mapping[str, Any]) -> tuple[Plan, dict[str, Any]]:
    conversion = read_spec(spec)
    return conversion.plan(), {"source": str(conversion.source)}


if __name__ == "__main__":
    sys.exit(main())
