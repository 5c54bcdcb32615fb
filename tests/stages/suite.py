"""``tests/run [--only STAGE,…] [arguments for each pytest]``: the whole suite, stage by stage.

Two stages run at a time: one that computes, and one that mostly waits; when none that computes is
left, two of the others. The output of a stage is printed whole when the stage ends. The exit code
is 1 if one of them failed.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence

from tests.stages.plan import BACKENDS, PLATFORM, ROOT, STAGES, WHOLE, Stage
from tests.stages.process import Running
from tests.stages.report import ended, standing, summary

LOOK_EVERY = 0.2  # seconds
TELL_EVERY = 60.0
CUT_SHORT = 130  # the exit code after Ctrl-C


def main(argv: Sequence[str]) -> int:
    stages, chosen = choice(argv)
    began = time.monotonic()
    done: list[Running] = []
    try:
        run(stages, chosen, done)
    except KeyboardInterrupt:
        return CUT_SHORT
    finally:
        say(summary(done, (time.monotonic() - began) / 60, WHOLE))
        for one in done:
            one.clean_up()
    return 0 if all(one.has_passed for one in done) else 1


def choice(argv: Sequence[str]) -> tuple[list[Stage], list[str]]:
    """The stages to run, and the arguments for pytest. With these, only stages of pytest run."""
    parser = argparse.ArgumentParser("tests/run", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="STAGE,…")
    given, chosen = parser.parse_known_args(argv)
    names = given.only or [stage.name for stage in STAGES if stage.takes_tests or not chosen]
    if unknown := set(names) - {stage.name for stage in STAGES}:
        parser.error(f"no such stage: {', '.join(sorted(unknown))}")
    if "backends" in names and not backends_answer():
        names.remove("backends")
    return [stage for stage in STAGES if stage.name in names], chosen


def backends_answer() -> bool:
    """Whether PostgreSQL and Redis answer. With CI=true it is an error if they do not."""
    argv = [PLATFORM, "-m", "tests.backends_answer"]
    if subprocess.run(argv, env={**os.environ, **BACKENDS}, cwd=ROOT, check=False).returncode == 0:
        return True
    where = "PostgreSQL and Redis (see TEST_DATABASE_URL and TEST_REDIS_URL)"
    if os.environ.get("CI") == "true":
        sys.exit(f"Under CI=true these must answer: {where}")
    print(f"Left out: the tests on {where}", file=sys.stderr)
    return False


def run(stages: Sequence[Stage], chosen: list[str], done: list[Running]) -> None:
    """Run the stages in two lanes. Each that ended, or was cut short, is put into ``done``."""
    lanes = [deque(s for s in stages if s.computes is computes) for computes in (True, False)]
    running: dict[int, Running] = {}
    try:
        told = time.monotonic()
        while running or any(lanes):
            fill(lanes, running, chosen)
            take_ended(running, done)
            if running and time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                say(standing(running.values()))
            time.sleep(LOOK_EVERY)
    finally:
        cut_short(running, done)


def fill(lanes: list[deque[Stage]], running: dict[int, Running], chosen: list[str]) -> None:
    """Each lane that is free takes its next stage; without one it takes the next that waits."""
    waits = lanes[-1]
    for number, lane in enumerate(lanes):
        if number not in running and (next_ones := lane or waits):
            running[number] = Running(next_ones.popleft(), chosen)


def take_ended(running: dict[int, Running], done: list[Running]) -> None:
    for number, one in list(running.items()):
        if one.has_ended():
            done.append(running.pop(number))
            say(ended(one))


def cut_short(running: dict[int, Running], done: list[Running]) -> None:
    for one in running.values():
        one.ask_to_end()
    for one in running.values():
        one.end()
    take_ended(running, done)


def say(text: str) -> None:
    print(text, flush=True)
