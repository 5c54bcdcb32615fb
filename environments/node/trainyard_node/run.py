"""`python -m trainyard_node.run DIR`: run DIR/run.sh and keep DIR's record of it.

Exit codes: the run's own one; with --detach 0 once the run is started; 1 when it could not be
started; 2 for a wrong command line.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from trainyard_node.attempt import Attempt


class CannotStart(Exception):
    """The attempt cannot be started; the message says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Start the attempt named on the command line; see the module's exit codes."""
    arguments = _parser().parse_args(argv)
    attempt = Attempt.at(arguments.directory)
    try:
        if not arguments.detach:
            return _supervise(attempt, arguments, lambda: None)
        from trainyard_node.detach import run_detached

        return run_detached(lambda ready: _supervise(attempt, arguments, ready))
    except (CannotStart, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def take_lock(attempt: Attempt) -> None:
    """Make this process the only one that ever starts this attempt. Raises CannotStart."""
    if not attempt.script.is_file():
        raise CannotStart(f"there is no {attempt.script}")
    try:
        descriptor = os.open(attempt.lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        raise CannotStart(f"{attempt.root} was started already; an attempt runs once") from None
    os.close(descriptor)


def _supervise(attempt: Attempt, arguments: argparse.Namespace, ready: Callable[[], None]) -> int:
    take_lock(attempt)
    from trainyard_node.supervisor import Options, Supervisor

    options = Options(
        sample=arguments.sample_seconds,
        heartbeat=arguments.heartbeat_seconds,
        grace=arguments.grace,
    )
    return Supervisor(attempt, options).run(ready)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainyard_node.run", description=__doc__)
    parser.add_argument("directory", help="attempt directory holding run.sh")
    parser.add_argument("--detach", action="store_true", help="return once the run is started")
    parser.add_argument("--sample-seconds", type=_positive, default=5.0)
    parser.add_argument("--heartbeat-seconds", type=_positive, default=2.0)
    parser.add_argument("--grace", type=float, default=20.0, help="seconds, SIGTERM to SIGKILL")
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
