"""Samples of the machine and of the run's processes, in a thread of their own: a slow driver or
disk must not hold up supervision."""

import contextlib
import threading
from pathlib import Path
from typing import Any

from trainyard_node.attempt import Lines
from trainyard_node.gpus import Gpus

# cpu_percent needs two looks; this is the time between the first two.
FIRST_SAMPLE_AFTER = 0.5


class Sampler(threading.Thread):
    """Appends one sample to `lines` every `seconds` until `stop`."""

    def __init__(self, lines: Lines, pid: int, root: Path, seconds: float) -> None:
        super().__init__(name="sampler", daemon=True)
        self._lines, self._seconds = lines, seconds
        self._pid, self._root = pid, root
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until stopped; one failed sample does not end the series."""
        readings = Readings(self._pid, self._root)
        pause = min(FIRST_SAMPLE_AFTER, self._seconds)
        while not self._ended.wait(pause):
            pause = self._seconds
            with contextlib.suppress(Exception):
                self._lines.append(readings.take())

    def stop(self, wait: float = 2.0) -> None:
        """End the series; waits up to `wait` seconds for a sample under way."""
        self._ended.set()
        self.join(wait)


class Readings:
    """One reading after the other; processor use is over the time since the one before."""

    def __init__(self, pid: int, root: Path) -> None:
        import psutil

        self._psutil = psutil
        self._pid, self._root = pid, root
        self._gpus = Gpus()
        self._seen: dict[Any, Any] = {}
        psutil.cpu_percent()
        self._tree_use()

    def take(self) -> dict[str, Any]:
        """Whole machine: percent, bytes. Tree of the run: percent of one core, bytes."""
        memory = self._psutil.virtual_memory()
        disk = self._psutil.disk_usage(str(self._root))
        cpu, resident = self._tree_use()
        return {
            "cpu_percent": self._psutil.cpu_percent(),
            "memory_used": memory.total - memory.available,
            "memory_total": memory.total,
            "disk_used": disk.total - disk.free,  # what is reserved for root is not there either
            "disk_total": disk.total,
            "process_cpu_percent": cpu,
            "process_memory": resident,
            "gpus": self._gpus.read(),
        }

    def _tree_use(self) -> tuple[float, int]:
        # Kept from reading to reading: psutil measures from its own last look at each process.
        self._seen = {process: self._seen.get(process, process) for process in self._tree()}
        cpu, private, shared = 0.0, 0, 0
        for process in self._seen.values():
            with contextlib.suppress(self._psutil.Error):
                memory = process.memory_info()
                pages = getattr(memory, "shared", 0)
                cpu += process.cpu_percent()
                private += memory.rss - pages
                shared = max(shared, pages)
        # Ray's workers map the same libraries and object store: count shared pages once.
        return round(cpu, 1), private + shared

    def _tree(self) -> list[Any]:
        try:
            # The wrapper's children, so that adopted orphans count; the wrapper itself does not.
            return list(self._psutil.Process(self._pid).children(recursive=True))
        except self._psutil.Error:
            return []
