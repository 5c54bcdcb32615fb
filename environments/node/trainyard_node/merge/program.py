"""A planned merge as a program does it: told step by step, with the facts of what was made."""

import json
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from trainyard_node.export.digest import digest_of
from trainyard_node.export.program import add_spec, ended, parsed, spec_of
from trainyard_node.export.told import Told, size_of
from trainyard_node.merge.merging import Plan, Progress, check, merge

Spec = Mapping[str, Any]


class Own(Protocol):
    """Work on a plan that is more than the merge of it."""

    def check(self, target: Path) -> None: ...
    def facts(self) -> dict[str, Any]: ...
    def make(self, target: Path, told: Told, more: Mapping[str, Any]) -> None: ...


Work = Plan | Own
Found = tuple[Work, dict[str, Any]]
Planned = Callable[[Spec], Found]


def run(
    program: str, about: str, planned: Planned, argv: list[str] | None = None,
    decided: Callable[[Spec, Path, Told], Found] | None = None,
) -> int:  # fmt: skip
    """Run `program` on the command line's spec. `planned` gives the merge for a spec, and what
    else is said of it; `decided` does so where the work itself decides what is merged. Exit codes:
    0 made, 1 refused, 2 wrong use."""
    parser = ArgumentParser(prog=f"python -m trainyard_node.{program}", description=about)
    add_spec(parser)
    parser.add_argument("--check", action="store_true", help="only say whether it can be done")
    arguments = parsed(parser, argv)
    target = Path(arguments.out).expanduser().absolute()

    def work(told: Told) -> None:
        spec = spec_of(arguments)
        if arguments.check:
            _look(*planned(spec), target)
            return
        made, more = decided(spec, target, told) if decided else planned(spec)
        if isinstance(made, Plan):
            make(made, target, told, more)
        else:
            made.make(target, told, more)

    return ended(program, target, work)


def _look(made: Work, more: Mapping[str, Any], target: Path) -> None:
    if isinstance(made, Plan):
        check(made, target)
        facts = facts_of(made)
    else:
        made.check(target)
        facts = made.facts()
    print(json.dumps({**facts, **more}), flush=True)


def facts_of(made: Plan) -> dict[str, Any]:
    """How much there is to do; sizes are bytes."""
    sizes = {"bytes_in": made.bytes_in, "bytes_out": made.bytes_out}
    return {"tensors": len(made.pieces), "files": len(made.shards), **sizes}


def make(made: Plan, target: Path, told: Told, more: Mapping[str, Any]) -> None:
    """Make `target` and tell what it is, with `more` of it. Raises Refused."""
    told.plan(made.bytes_in, made.bytes_out)
    merge(made, target, Progress(tell=Teller(told)))
    told.finished()
    inputs: dict[str, str] = {}
    for stored in made.models.values():
        inputs |= stored.inputs()
    facts = {"tensors": len(made.pieces), **more, "inputs": inputs}
    facts |= {"bytes": size_of(target), "digest": digest_of(target)}
    told.event("made", f"{target} is there: {len(made.pieces)} tensors", path=str(target), **facts)


class Teller:
    """Tells how far a merge is. Others read on meanwhile, so a count is taken once."""

    def __init__(self, told: Told) -> None:
        self._told, self._read, self._before = told, 0, told.bytes_written
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            read = progress.bytes_read
            self._told.read(read - self._read)
            self._told.written(self._before + progress.bytes_written)
            self._read = read
