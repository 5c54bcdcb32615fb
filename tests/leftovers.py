"""Processes that a test leaves running."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def ended_afterwards(folder: Path) -> Iterator[None]:
    """Whatever began within the block and names the folder on its command line is ended after it,
    by process id. Of what ran before, nothing is looked at: that takes a test some milliseconds.
    """
    before = set(psutil.pids())
    yield
    for pid in set(psutil.pids()) - before - {os.getpid()}:
        try:
            process = psutil.Process(pid)
            if str(folder) in " ".join(process.cmdline()):
                process.kill()
        except psutil.Error:
            continue
