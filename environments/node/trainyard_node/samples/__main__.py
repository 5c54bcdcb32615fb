"""`python -m trainyard_node.samples OUTDIR`: make the samples there and describe them in JSON."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """0: they are there (made now or before); 1: OUTDIR is in the way; 2: wrong use."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if len(arguments) != 1:
        print("usage: python -m trainyard_node.samples OUTDIR", file=sys.stderr)
        return 2
    from trainyard_node.samples.build import Occupied, build

    try:
        print(json.dumps(build(Path(arguments[0]))))
    except (Occupied, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
