"""`python -m trainyard_node.alive DIR`: print as JSON which processes of an attempt still live."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from trainyard_node.attempt import Attempt
from trainyard_node.identity import Identity, is_alive
from trainyard_node.record import Record, read_record


def main(argv: Sequence[str] | None = None) -> int:
    """Print {"wrapper": bool, "process": bool, "exit_code": int|null}; return 2 for wrong use."""
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) != 1:
        print("usage: python -m trainyard_node.alive DIR", file=sys.stderr)
        return 2
    print(json.dumps(look(Attempt.at(argv[0]))))
    return 0


def look(attempt: Attempt) -> dict[str, Any]:
    """Return the same as a dict. Zombies, recycled pids and pids of a former boot count as dead."""
    record = read_record(attempt)
    if record is None:
        return {**_without_record(attempt), "exit_code": attempt.read_exit_code()}
    # Look at the processes first: a run that ends in between must not look dead without a code.
    return {
        "wrapper": _lives(record, "wrapper"),
        "process": _lives(record, "process"),
        "exit_code": attempt.read_exit_code(),
    }


def _without_record(attempt: Attempt) -> dict[str, bool]:
    """The answer without a pid file: a process that carries the directory's name may still run."""
    from trainyard_node.processes import in_run

    return {"wrapper": False, "process": bool(in_run(str(attempt.root)))}


def _lives(record: Record, which: str) -> bool:
    if not record.is_of_this_boot():
        return False
    identity: Identity = getattr(record, which)
    return is_alive(identity)


if __name__ == "__main__":
    sys.exit(main())
