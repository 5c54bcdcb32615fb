"""One merge by each program, in a process of its own: its seconds and its memory."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[3]
NODE = ROOT / "environments/node"
LOOK_EVERY = 0.01  # seconds
# mergekit's own function, which its command calls, with what the command gives it.
ALONE = """
import sys, time
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions

recipe, out = sys.argv[1:]
text = open(recipe).read()
began = time.perf_counter()
given = MergeConfiguration.model_validate(yaml.safe_load(text))
run_merge(given, out, MergeOptions(quiet=True, copy_tokenizer=False), config_source=text)
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Ran:
    """`busy` are the seconds of all cores together, which other programs do not lengthen much;
    `alone` is the merge without the start of its process, where that was measured."""

    seconds: float
    busy: float
    anonymous: int  # bytes, at the highest
    alone: float = 0.0


def ours(recipe: Path, out: Path) -> Ran:
    """The engine's command; it has all on the disk when it ends."""
    return _ran(["-m", "trainyard_node.merge", str(recipe), "--out", str(out)])


def theirs(recipe: Path, out: Path) -> Ran:
    """mergekit's command, and then what it wrote onto the disk."""
    command = str(Path(sys.executable).parent / "mergekit-yaml")
    ran = _ran([command, str(recipe), str(out), "--quiet", "--no-copy-tokenizer"])
    return replace(ran, seconds=ran.seconds + synced(out))


def theirs_alone(recipe: Path, out: Path) -> Ran:
    """As `theirs`, without the imports: `seconds` are of the process, `alone` of the merge."""
    with tempfile.TemporaryFile("w+") as said:
        ran = _ran(["-c", ALONE, str(recipe), str(out)], said.fileno())
        more = synced(out)
        said.seek(0)
        alone = float(said.read().split()[-1])
    return replace(ran, seconds=ran.seconds + more, alone=alone + more)


def synced(folder: Path) -> float:
    """Have all files of a folder on the disk; gives the seconds that took."""
    began = time.perf_counter()
    for path in [*folder.iterdir(), folder]:
        opened = os.open(path, os.O_RDONLY)
        os.fsync(opened)
        os.close(opened)
    return time.perf_counter() - began


def _ran(arguments: Sequence[str], out: int = subprocess.DEVNULL) -> Ran:
    environment = {**os.environ, "PYTHONPATH": str(NODE)}
    environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    began, busy = time.perf_counter(), _busy()
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=out, stderr=subprocess.PIPE
    ) as process:
        highest = 0
        while process.poll() is None:
            highest = max(highest, _anonymous(process.pid))
            time.sleep(LOOK_EVERY)
        seconds = time.perf_counter() - began
        errors = process.stderr.read().decode() if process.stderr else ""
    if process.returncode:
        sys.exit(f"{arguments[0]} ended with {process.returncode}: {errors[-2000:]}")
    return Ran(seconds, _busy() - busy, highest)


def _busy() -> float:
    """The seconds of all cores that the processes took which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _anonymous(pid: int) -> int:
    """The bytes that a process holds beside files that it mapped; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return int(found[0]) * 1024 if found else 0
