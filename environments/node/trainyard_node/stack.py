"""`python -m trainyard_node.stack DIR`: print the stack of each Python process of an attempt's run.

Prints text for a user. It uses py-spy from outside, which stops a process only for a moment. The
exit code is 0 even when there is nothing to print; the text says why.
"""

import functools
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from trainyard_node.attempt import Attempt
from trainyard_node.processes import Process, name_of
from trainyard_node.record import read_record
from trainyard_node.stop import survivors

SECONDS = 10.0  # seconds for one process
AT_ONCE = 4
NO_PROGRAM = (
    "py-spy is not there, so nobody can say where the run stands. Install it beside the training: "
    f"{sys.executable} -m pip install py-spy"
)
FORBIDDEN = (
    "The system forbids looking into this process (ptrace). As root: sysctl kernel.yama."
    "ptrace_scope=0, or give the container the capability SYS_PTRACE."
)
REFUSALS = ("permission denied", "operation not permitted", "ptrace")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the stacks; return 2 for wrong use."""
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) != 1:
        print("usage: python -m trainyard_node.stack DIR", file=sys.stderr)
        return 2
    print(describe(Attempt.at(argv[0])))
    return 0


def describe(attempt: Attempt) -> str:
    """The text for one attempt. Only processes that provably belong to the run are inspected."""
    found = [process for process in _processes(attempt) if _is_python(process)]
    if not found:
        return "No Python process of this run is alive on this machine."
    program = program_path()
    if program is None:
        return NO_PROGRAM
    with ThreadPoolExecutor(AT_ONCE) as pool:
        stacks = pool.map(functools.partial(stack_of, program), found)
    titles = [f"Process {process.pid}, {name_of(process)}" for process in found]
    return "\n\n".join(f"{title}\n{text}" for title, text in zip(titles, stacks, strict=True))


def program_path() -> str | None:
    """The path of py-spy beside this Python, else on the PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which("py-spy", path=beside) or shutil.which("py-spy")


def stack_of(program: str, process: Process) -> str:
    """py-spy's text about one process, or a sentence that says why there is none."""
    command = [program, "dump", "--pid", str(process.pid)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"It could not be looked into within {SECONDS:g} s."
    except OSError as error:
        return f"py-spy could not be started: {error}"
    if done.returncode == 0:
        return _threads(done.stdout)
    if not process.is_running():
        return "It ended meanwhile."
    said = done.stderr.strip() or f"exit code {done.returncode}"
    if any(word in said.lower() for word in REFUSALS):
        return FORBIDDEN
    return f"py-spy could not look into it: {said.splitlines()[0]}"


def _processes(attempt: Attempt) -> list[Process]:
    record = read_record(attempt)
    if record is None or not record.is_of_this_boot():
        return []
    return sorted(survivors(record), key=lambda process: process.pid)


def _is_python(process: Process) -> bool:
    """Whether its program is Python: Ray's workers change their names, so names do not count."""
    try:
        return Path(process.exe()).name.startswith("python")
    except (psutil.Error, OSError):
        return False


def _threads(output: str) -> str:
    """py-spy's text without its head, which repeats the command line."""
    lines = output.strip().splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith("Thread")), 0)
    return "\n".join(lines[first:])


if __name__ == "__main__":
    sys.exit(main())
