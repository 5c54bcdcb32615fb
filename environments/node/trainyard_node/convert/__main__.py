"""`python -m trainyard_node.convert SPEC --out DIR`: a model as a Hugging Face folder.

SPEC is JSON: "source", a Hugging Face folder or a `global_step_N` folder of verl, and what shall
be another: "dtype", "shard_bytes", "vocab" (rows of the vocabulary), "layers" (in their new order),
"quantize" (W8A16 or W4A16, by the package compressed-tensors). An interrupted conversion goes on
where it stopped when it is started again; one that quantises begins anew.
"""

import sys
from collections.abc import Mapping
from typing import Any

from trainyard_node.convert.spec import read_spec
from trainyard_node.merge.program import Work, run


def main(argv: list[str] | None = None) -> int:
    """Convert as the command line says."""
    return run("convert", __doc__ or "", planned, argv)


def planned(spec: Mapping[str, Any]) -> tuple[Work, dict[str, Any]]:
    conversion = read_spec(spec)
    more = {"source": str(conversion.source)}
    if not conversion.quantize:
        return conversion.plan(), more
    from trainyard_node.convert.quantised import Quantised  # transformers takes seconds to import

    made = Quantised(conversion.plan(), conversion.quantize, conversion.shard_bytes)
    return made, {**more, "quantize": conversion.quantize}


if __name__ == "__main__":
    sys.exit(main())
