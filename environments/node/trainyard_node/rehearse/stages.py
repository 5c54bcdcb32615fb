"""Parts in stages: of one stage each part is tried, and the next stage needs them all."""

import argparse
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Mapping, Sequence

from trainyard_node import discard
from trainyard_node.rehearse.plan import Doubt, Fault, Plan, Untried
from trainyard_node.rehearse.told import FAILED, PASSED, SKIPPED, WARNED, Told

Check = Callable[[Plan], str]
Stages = Sequence[Mapping[str, Check]]


def plan_of(program: str, about: str | None, argv: Sequence[str] | None) -> Plan:
    """The plan on the command line `PLAN -- COMMAND...`; wrong use ends the process with 2."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("plan", help="JSON")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the trainer's command")
    arguments = parser.parse_args(argv)
    command = tuple(arguments.command)
    try:
        return Plan.read(arguments.plan, command[1:] if command[:1] == ("--",) else command)
    except (ValueError, TypeError, KeyError) as error:
        parser.error(f"the plan cannot be read: {error!r}")


def go_through(plan: Plan, stages: Stages, told: Told, left: Sequence[str]) -> int:
    """Try every part in its turn; at the end the folders `left` are deleted. Returns 1 where a part
    failed. A part that is in doubt, or has nothing to try, lets the next stage be tried."""
    # A stop ends the process by an exception, so that the trainer is ended as well.
    signal.signal(signal.SIGTERM, _stop)
    discard.announce(plan.root / folder for folder in left)
    try:
        for stage in stages:
            goes_on = not told.has_failed
            for name, check in stage.items():
                began = time.monotonic()
                state, said = (
                    tried(check, plan) if goes_on else (SKIPPED, "A part before it failed.")
                )
                told.part(name, state, said, time.monotonic() - began)
        return 1 if told.has_failed else 0
    finally:
        for folder in left:
            shutil.rmtree(plan.root / folder, ignore_errors=True)


def tried(check: Check, plan: Plan) -> tuple[str, str]:
    try:
        return PASSED, check(plan)
    except Untried as nothing:
        return SKIPPED, str(nothing)
    except Doubt as doubt:
        return WARNED, str(doubt)
    except Fault as fault:
        return FAILED, str(fault)
    except Exception as error:
        traceback.print_exc()
        return FAILED, f"It could not be tried: {type(error).__name__}: {error}"


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would break off the cleaning
    raise SystemExit(128 + signal.SIGTERM)
