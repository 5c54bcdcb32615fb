"""Far side: which packages this Python does not find."""

import importlib.util
import sys

from compute.runners.far.common import give, take


def main() -> None:
    names = take(sys.stdin.buffer)
    give([name for name in names or [] if not importlib.util.find_spec(name)])
