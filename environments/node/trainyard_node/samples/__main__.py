"""`python -m trainyard_node.samples OUTDIR`: make the samples there and describe them in JSON."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when the samples exist, 1 when OUTDIR holds other things, 2 for wrong use."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.samples", description=__doc__)
    parser.add_argument("outdir", type=Path, help="a new folder, or one with samples")
    outdir = parser.parse_args(argv).outdir
    from trainyard_node.samples.build import Occupied, build

    try:
        print(json.dumps(build(outdir)))
    except (Occupied, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
