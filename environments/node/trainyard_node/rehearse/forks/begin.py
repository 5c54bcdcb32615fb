"""Have a trainer's Pythons start as forks of one that has imported PyTorch already.

A run of RL on the CPU is ten Python processes, each of which spends seconds of a core on the same
imports. Each fork is a process of its own that has not trained before, and imports verl and Ray by
itself: these read the environment when they are imported.
"""

import importlib
import os
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainyard_node import discard
from trainyard_node.rehearse.forks import client
from trainyard_node.rehearse.forks.server import Program, serve

# What takes the time of `import verl`. Nothing of it imports Ray or verl.
MODULES = (
    "tensordict", "peft", "datasets", "pandas", "torchdata.stateful_dataloader", "hydra",
    "torch.distributed.run", "torch.distributed.fsdp", "torch.distributed.checkpoint",
    "transformers.generation", "transformers.models.auto.modeling_auto", "accelerate",
    "aiohttp", "requests", "jsonschema", "zmq",
)  # fmt: skip


@dataclass
class Forks:
    """``python`` is the file that starts one; empty where there are none."""

    pid: int = 0
    folder: str = ""
    lifeline: int = -1

    @property
    def python(self) -> str:
        return f"{self.folder}/python" if self.folder else ""

    def end(self) -> None:
        """The server's own end. What it forked is ended by those who asked for it."""
        if self.pid:
            os.close(self.lifeline)
            os.waitpid(self.pid, 0)
            shutil.rmtree(self.folder, ignore_errors=True)  # where the server was killed


def begin(modules: Sequence[str] = MODULES) -> Forks | Program:
    """Import what can be imported, and leave a server behind. In its forks the program returns that
    they are to run.
    """
    if sys.platform != "linux":
        return Forks()
    folder = tempfile.mkdtemp(prefix=f"{discard.TEMPORARY}forks-")
    discard.announce([Path(folder)])
    try:
        listener = _listening(folder)
    except OSError:  # such as a path that is too long for a socket
        shutil.rmtree(folder)
        return Forks()
    for module in modules:
        with suppress(Exception):  # the trainer itself will say it better
            importlib.import_module(module)
    ours, lifeline = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(lifeline)
        return serve(listener, ours, folder)
    listener.close()
    os.close(ours)
    return Forks(pid, folder, lifeline)


def _listening(folder: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/socket")
    listener.listen(64)
    python = Path(folder, "python")
    words = [sys.executable, "-I", "-S", str(client.__file__), f"{folder}/socket"]
    python.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    python.chmod(0o700)
    return listener
