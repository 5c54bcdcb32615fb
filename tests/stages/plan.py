"""The stages of the whole suite, in their order, with the minutes that each may take.

The longest of those that mostly wait comes first, so that short ones fill up the end.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = ".venv/bin/python"
TRAINING = "environments/verl-0.9/.venv/bin/python"
POSTGRES = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/test")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")
SLOWEST = "--durations=12"
# Two processes. Tests that belong together (see the conftest.py files) run in one of them. Tests
# start in their order, in which the long ones come early.
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder")


@dataclass(frozen=True)
class Stage:
    """``computes``: whether it keeps two cores busy. The other stages mostly wait, beside it."""

    name: str
    argv: tuple[str, ...]
    budget: float  # minutes on two cores
    computes: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    takes_tests: bool = True  # whether it is a pytest, which takes the arguments of the whole suite


def tests(python: str, *argv: str) -> tuple[str, ...]:
    return (python, "-m", "pytest", SLOWEST, *argv)


def marked(name: str) -> tuple[str, ...]:
    """Tests with a mark, all of which lie in the folder of its name: to import the thousands of
    others takes 16 s. Who names files takes these instead.
    """
    return ("-m", name, "-o", f"testpaths=tests/{name}")


RAY = ("tests/compute/runners", "tests/monitoring/watch")  # where its tests lie
BACKENDS = {
    "DATABASE_URL": POSTGRES,
    "CHANNEL_REDIS_URL": f"{REDIS}/1",
    "QUEUE_REDIS_URL": f"{REDIS}/2",
}
NODE = ("-c", "tests/node/pytest.ini", "tests/node")
STAGES = (
    Stage("lint", ("make", "--no-print-directory", "lint"), 2, takes_tests=False),
    Stage("unit", tests(PLATFORM, *SIDE_BY_SIDE), 18, computes=True),
    Stage("browser", tests(PLATFORM, *marked("e2e")), 18),
    Stage("backends", tests(PLATFORM, "-m", "backends"), 8, env=BACKENDS),
    Stage("verl", tests(TRAINING, *NODE, *SIDE_BY_SIDE), 18, computes=True),
    Stage("ray", tests(PLATFORM, "-m", "ray", "-o", f"testpaths={' '.join(RAY)}"), 8),
    Stage("chaos", tests(PLATFORM, *marked("chaos")), 6),
)
WHOLE = 38  # minutes
