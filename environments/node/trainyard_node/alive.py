"""`python -m trainyard_node.alive DIR`: what of an attempt still lives, as JSON."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from trainyard_node.attempt import Attempt
from trainyard_node.identity import Identity, is_alive
from trainyard_node.record import Record, read_record


def main(argv: Sequence[str] | None = None) -> int:
    """Print {"wrapper": bool, "process": bool, "exit_code": int|null}; 2 for wrong use."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if len(arguments) != 1:
        print("usage: python -m trainyard_node.alive DIR", file=sys.stderr)
        return 2
    print(json.dumps(look(Attempt.at(arguments[0]))))
    return 0


def look(attempt: Attempt) -> dict[str, Any]:
    """The same as a dict. Zombies, recycled pids and pids of a former boot are dead."""
    record = read_record(attempt)
    if record is None:
        return {**_without_record(attempt), "exit_code": attempt.read_exit_code()}
    # The processes first: a run that ends in between must not look dead without a verdict.
    return {
        "wrapper": _lives(record, "wrapper"),
        "process": _lives(record, "process"),
        "exit_code": attempt.read_exit_code(),
    }


def _without_record(attempt: Attempt) -> dict[str, bool]:
    """Somebody removed the directory: what runs there all the same names it."""
    from trainyard_node.processes import in_run

    return {"wrapper": False, "process": bool(in_run(str(attempt.root)))}


def _lives(record: Record, which: str) -> bool:
    if not record.is_of_this_boot():
        return False
    identity: Identity = getattr(record, which)
    return is_alive(identity)


if __name__ == "__main__":
    sys.exit(main())
