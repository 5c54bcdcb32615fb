"""`python -m trainyard_node.lora merge|extract SPEC --out DIR`: adapters into models, and back.

The SPEC of merge is `{"base": path, "adapters": [{"path": path, "weight": number}]}`, and may have
a `dtype`. An adapter is a folder as peft writes it, or a model that was exported with
--keep-adapter. The SPEC of extract is `{"base": path, "tuned": path}` with a `rank`, or with an
`energy` from 0 to 1; with `"keep": true` changed norms and embeddings lie beside the adapter whole.
With --check nothing is made.

Exit codes: 0 when DIR is there and whole; 1 when it is refused, with the reason as the last line; 2
for wrong use.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainyard_node.export.digest import digest_of
from trainyard_node.export.place import check_target, making
from trainyard_node.export.program import (
    add_spec,
    check_apart,
    check_keys,
    ended,
    is_number,
    parsed,
    path_of,
    spec_of,
)
from trainyard_node.export.refused import Refused
from trainyard_node.export.told import Told, size_of
from trainyard_node.lora import extracting, merging
from trainyard_node.lora.adapter import open_adapter
from trainyard_node.lora.extracting import Extracted, Wanted, named
from trainyard_node.shards.opening import open_model

DTYPES = ("float32", "bfloat16", "float16")
MOST_MODULES = 200  # in the event; extraction.json has all


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; see the module's exit codes."""
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.lora", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, what in (("merge", "adapters into a base model"), ("extract", "an adapter")):
        each = commands.add_parser(command, help=what)
        add_spec(each)
        each.add_argument("--check", action="store_true", help="only say whether it can be done")
    arguments = parsed(parser, argv)
    target = Path(arguments.out).expanduser().absolute()
    work = _merge if arguments.command == "merge" else _extract
    return ended(
        "lora", target, lambda told: work(spec_of(arguments), target, told, arguments.check)
    )


def _merge(spec: Mapping[str, Any], target: Path, told: Told, only_check: bool) -> None:
    check_keys(spec, ("base", "adapters", "dtype"))
    base = open_model(path_of(spec.get("base"), "base"))
    listed = spec.get("adapters")
    if not isinstance(listed, list) or not listed:
        raise Refused("adapters is a list with at least one adapter.")
    given = [_adapter(each) for each in listed]
    folders = [folder.resolve() for folder, _ in given]
    if twice := next((each for each in folders if folders.count(each) > 1), None):
        raise Refused(f"adapters names {twice} twice: give it once, with the sum of its weights.")
    adapters = [open_adapter(folder, weight) for folder, weight in given]
    dtype = _dtype(spec.get("dtype"))
    made = merging.plan(base, adapters, dtype)
    check_apart(target, [base.root, *(each.folder for each in adapters)])
    if only_check:
        sizes = {"bytes_in": made.bytes_in, "bytes_out": made.bytes_out}
        return _checked(target, made.bytes_out, {**_counts(made), **sizes})
    with making(target) as folder:
        merging.merge(made, folder, told)
        facts = _facts(folder)
    told.finished()
    said = f"{target} is there: {made.changed} of {len(made.sources)} tensors are changed"
    inputs = {str(base.root): base.digest()} | {str(one.folder): one.digest() for one in adapters}
    told.event("made", said, path=str(target), **facts, **_counts(made), inputs=inputs)


def _extract(spec: Mapping[str, Any], target: Path, told: Told, only_check: bool) -> None:
    check_keys(spec, ("base", "tuned", "rank", "energy", "keep"))
    wanted = _wanted(spec)
    folders = [path_of(spec.get(name), name) for name in ("base", "tuned")]
    base, tuned = (open_model(each) for each in folders)
    extracting.check(base, tuned)
    check_apart(target, folders)
    if only_check:
        modules = sum(map(extracting.is_for_lora, base.entries.values()))
        most = extracting.most_bytes(base, wanted)
        sizes = {"tensors": len(base.entries), "modules": modules, "most_bytes_out": most}
        # The most is far from what a share needs: then the space is only known at the end.
        return _checked(target, most if wanted.rank else 0, sizes)
    with making(target) as folder:
        made = extracting.extract((base, tuned), wanted, folder, told)
        facts = _facts(folder)
    told.finished()
    inputs = {str(each.root): each.digest() for each in (base, tuned)}
    said = _said(target, made)
    told.event("made", said, path=str(target), **facts, **_report(made), inputs=inputs)


def _said(target: Path, made: Extracted) -> str:
    words = [
        f"{target} is there: an adapter of {len(made.modules)} modules, the error is "
        f"{made.error:.3g} of the change"
    ]
    if made.kept:
        words.append(f"{len(made.kept)} tensors are kept whole")
    if made.left_out:
        words.append(f"left out, since it is no part of a LoRA: {named(made.left_out)}")
    return "; ".join(words)


def _report(made: Extracted) -> dict[str, Any]:
    worst = sorted(made.modules, key=lambda each: -each["error"])
    return {
        "tensors": made.tensors,
        "error": made.error,
        "modules": worst[:MOST_MODULES],
        "modules_left_out": max(0, len(worst) - MOST_MODULES),
        "kept": made.kept[:MOST_MODULES],
        "left_out": {"count": len(made.left_out), "first": made.left_out[:MOST_MODULES]},
    }


def _counts(made: merging.Plan) -> dict[str, int | bool]:
    return {"tensors": len(made.sources), "changed": made.changed, "unties": made.unties}


def _facts(folder: Path) -> dict[str, int | str]:
    return {"bytes": size_of(folder), "digest": digest_of(folder)}


def _checked(target: Path, size: int, facts: Mapping[str, Any]) -> None:
    check_target(target, size)
    print(json.dumps(facts), flush=True)


def _adapter(said: Any) -> tuple[Path, float]:
    if not isinstance(said, dict):
        raise Refused(f"An adapter is a mapping with a path, not {said!r}.")
    check_keys(said, ("path", "weight"))
    weight = said.get("weight", 1.0)
    if not is_number(weight):
        raise Refused(f"The weight of an adapter is a number, not {weight!r}.")
    return path_of(said.get("path"), "The path of an adapter"), float(weight)


def _wanted(spec: Mapping[str, Any]) -> Wanted:
    rank, energy, keep = spec.get("rank"), spec.get("energy"), spec.get("keep", False)
    if (rank is None) == (energy is None):
        raise Refused("Give a rank or an energy, and not both.")
    if rank is not None and (type(rank) is not int or rank < 1):
        raise Refused(f"rank is a whole number of 1 or more, not {rank!r}.")
    if energy is not None and not (is_number(energy) and 0 < energy <= 1):
        raise Refused(f"energy is a number above 0 and up to 1, not {energy!r}.")
    if not isinstance(keep, bool):
        raise Refused(f"keep is true or false, not {keep!r}.")
    return Wanted(rank, None if energy is None else float(energy), keep)


def _dtype(said: Any) -> str:
    if said is not None and said not in DTYPES:
        raise Refused(f"dtype is one of {', '.join(DTYPES)}, not {said!r}.")
    return said or ""


if __name__ == "__main__":
    sys.exit(main())
