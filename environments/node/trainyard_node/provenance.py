"""What a run was made with: the Python, its packages, this package, and the machine's hardware.

Each part is a line of `provenance.jsonl` in the run directory; the trainer adds its configuration
(see `hooks.resolved`). Nothing here imports a package to ask for its version.
"""

import ast
import contextlib
import hashlib
import json
import os
import platform
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trainyard_node import __version__
from trainyard_node.attempt import Attempt, Lines
from trainyard_node.gpus import Gpus

ASKED_OF_TORCH = ("cuda", "hip", "git_version")
PACKAGE = (".py", ".yaml")  # the files that this package's digest is over


class Teller(threading.Thread):
    """Writes the parts in a thread: a slow disk or driver must not delay supervision."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(name="provenance", daemon=True)
        self._lines = Lines(attempt.provenance)

    def run(self) -> None:
        """Write each part; one that cannot be found out does not keep the others out."""
        for part, facts in PARTS.items():
            with contextlib.suppress(Exception):
                self._lines.append({"part": part, "data": facts()})

    def stop(self, wait: float = 2.0) -> None:
        """Wait up to `wait` seconds for what is not written yet."""
        self.join(wait)


def software() -> dict[str, Any]:
    """The Python that runs the trainer, its installed packages, and where those from a repository
    came from."""
    from importlib.metadata import distributions  # the wrapper starts sooner without

    found = {each.name: each for each in distributions() if each.name}
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": platform.platform(),
        "node": {"version": __version__, "digest": digest()},
        "torch": _torch(),
        "packages": {name: found[name].version for name in sorted(found, key=str.lower)},
        "commits": dict(_commits(found)),
    }


def hardware() -> dict[str, Any]:
    """The machine that the wrapper runs on: bytes of memory, processors, GPUs and their driver."""
    import psutil

    return {
        "host": socket.gethostname(),
        "cpu": _cpu_name(),
        "cpus": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        **Gpus().facts(),
    }


PARTS: dict[str, Callable[[], dict[str, Any]]] = {"software": software, "hardware": hardware}


def digest() -> str:
    """SHA-256 in hex of this package: of every file's name and bytes, in their order."""
    root, found = Path(__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in PACKAGE and path.is_file():
            found.update(f"{path.relative_to(root)}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _torch() -> dict[str, str]:
    """What PyTorch was built for, by its file `version.py`: importing it takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return {}
    text = Path(spec.origin).with_name("version.py").read_text()
    return dict(_assigned(ast.parse(text)))


def _assigned(module: ast.Module) -> Iterator[tuple[str, str]]:
    for line in module.body:
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        value = getattr(line, "value", None)
        names = [each.id for each in targets if isinstance(each, ast.Name)]
        if isinstance(value, ast.Constant) and value.value:
            yield from ((name, str(value.value)) for name in names if name in ASKED_OF_TORCH)


def _commits(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The commits of packages that were installed from a repository."""
    for name, package in found.items():
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            told = json.loads(package.read_text("direct_url.json") or "")
            yield name, str(told["vcs_info"]["commit_id"])


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
