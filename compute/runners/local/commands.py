"""The fixed programs of a check and a set-up, run on this machine."""

import subprocess
import sys
from collections.abc import Sequence

from compute.runners.base import RunnerError, RunnerUnsure
from platform_site.bounded.environment import passed_on

# A set-up asks pip, whose mirror the operator may have named.
PIP = ("PIP_", "UV_")


def run_here(argv: Sequence[str], stdin: bytes, within: float) -> bytes:
    """As ``RunCommand``; ``python3`` is the Python of Trainyard itself. Raises ``RunnerError``."""
    program = sys.executable if argv[0] == "python3" else argv[0]
    try:
        done = subprocess.run(
            [program, *argv[1:]], input=stdin, env=passed_on(*PIP),
            capture_output=True, timeout=within, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RunnerUnsure(f"No answer for {within:.0f} s.") from None
    except OSError as error:
        raise RunnerError(f"{program} does not start: {error.strerror}.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RunnerError(said[-1] if said else f"It ended with {done.returncode}.")
    return done.stdout
