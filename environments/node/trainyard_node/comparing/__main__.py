"""`python -m trainyard_node.comparing SPEC --out DIR`: how far two models are from each other.

SPEC is `{"models": [path, path]}`. DIR is made, with `comparison.json` in it.

Exit codes: 0 when it is there; 1 when it is refused, with the reason as the last line; 2 for wrong
use.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainyard_node.comparing.comparing import bytes_of, compare
from trainyard_node.export.place import making
from trainyard_node.export.program import (
    add_spec,
    check_apart,
    check_keys,
    ended,
    parsed,
    path_of,
    spec_of,
)
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told
from trainyard_node.shards.opening import open_model

REPORT = "comparison.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Compare as the command line says; see the module's exit codes."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.comparing", description=__doc__)
    add_spec(parser)
    arguments = parsed(parser, argv)
    target = Path(arguments.out).expanduser().absolute()
    return ended("comparing", target, lambda told: _compare(spec_of(arguments), target, told))


def _compare(spec: dict[str, Any], target: Path, told: Told) -> None:
    check_keys(spec, ("models",))
    listed = spec.get("models")
    if not isinstance(listed, list) or len(listed) != 2:
        raise Refused("models is a list of two paths.")
    one, other = (path_of(each, "A model") for each in listed)
    check_apart(target, (one, other))
    models = (open_model(one), open_model(other))
    with making(target) as folder:
        told.plan(bytes_of(models), 0)
        found = compare(models, told.read)
        (folder / REPORT).write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    told.finished()
    whole = found["whole"]
    said = f"{whole['tensors']} tensors are compared, the distance is {whole['distance']:.6g}"
    told.event(
        "compared",
        said,
        path=str(target / REPORT),
        whole=whole,
        only_in=[each["count"] for each in found["only_in"]],
        shapes_differ=found["shapes_differ"]["count"],
        not_finite=found["not_finite"]["count"],
    )


if __name__ == "__main__":
    sys.exit(main())
