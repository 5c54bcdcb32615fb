"""`python -m trainyard_node.comparing SPEC --out DIR`: how far two models are from each other.

SPEC is `{"models": [path, path]}`. DIR is made, with `comparison.json` in it. With --check nothing
is made.

Exit codes: 0 when it is there; 1 when it is refused, with the reason as the last line; 2 for wrong
use.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainyard_node.comparing.comparing import bytes_of, compare, pairs_of
from trainyard_node.export.place import check_target, making
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
from trainyard_node.merge.stored import Stored
from trainyard_node.shards.opening import open_model

REPORT = "comparison.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Compare as the command line says; see the module's exit codes."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.comparing", description=__doc__)
    add_spec(parser)
    parser.add_argument("--check", action="store_true", help="only say whether it can be done")
    arguments = parsed(parser, argv)
    target = Path(arguments.out).expanduser().absolute()
    work = _check if arguments.check else _compare
    return ended("comparing", target, lambda told: work(spec_of(arguments), target, told))


def _check(spec: dict[str, Any], target: Path, told: Told) -> None:
    models = _opened(spec, target)
    check_target(target, 0)
    facts = {"tensors": len(pairs_of(models)[0]), "bytes_in": bytes_of(models)}
    print(json.dumps(facts), flush=True)


def _compare(spec: dict[str, Any], target: Path, told: Told) -> None:
    models = _opened(spec, target)
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


def _opened(spec: dict[str, Any], target: Path) -> tuple[Stored, Stored]:
    """The two models. Raises Refused."""
    check_keys(spec, ("models",))
    listed = spec.get("models")
    if not isinstance(listed, list) or len(listed) != 2:
        raise Refused("models is a list of two paths.")
    one, other = (path_of(each, "A model") for each in listed)
    check_apart(target, (one, other))
    return open_model(one), open_model(other)


if __name__ == "__main__":
    sys.exit(main())
