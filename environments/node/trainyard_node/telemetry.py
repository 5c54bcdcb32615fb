"""Samples of the machine and of the run's processes, in a separate thread: a slow driver or disk
must not delay supervision."""

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

from trainyard_node.attempt import Lines
from trainyard_node.gpus import Gpus

# cpu_percent needs two readings; this is the time between the first two.
FIRST_SAMPLE_AFTER = 0.5


class Sampler(threading.Thread):
    """Appends one sample to `lines` every `seconds`, until `stop` is called."""

    def __init__(self, lines: Lines, pid: int, root: Path, seconds: float) -> None:
        super().__init__(name="sampler", daemon=True)
        self._lines, self._seconds = lines, seconds
        self._pid, self._root = pid, root
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until stopped; a failed sample does not end the series."""
        readings = Readings(self._pid, self._root)
        pause = min(FIRST_SAMPLE_AFTER, self._seconds)
        while not self._ended.wait(pause):
            pause = self._seconds
            with contextlib.suppress(Exception):
                self._lines.append(readings.take())

    def stop(self, wait: float = 2.0) -> None:
        """End the series; wait up to `wait` seconds for a sample in progress."""
        self._ended.set()
        self.join(wait)


class Readings:
    """Successive readings; processor use is measured since the previous reading."""

    def __init__(self, pid: int, root: Path) -> None:
        import psutil

        self._psutil = psutil
        self._pid, self._root = pid, root
        self._gpus = Gpus()
        self._seen: dict[Any, Any] = {}
        self._traffic = self._traffic_so_far()
        psutil.cpu_percent()
        self._tree_use()

    def take(self) -> dict[str, Any]:
        """Measure the machine (percent, bytes, bytes a second) and the run's processes (percent of
        one core, bytes)."""
        memory = self._psutil.virtual_memory()
        disk = self._psutil.disk_usage(str(self._root))
        cpu, resident = self._tree_use()
        sent, received = self._traffic_rate()
        return {
            "cpu_percent": self._psutil.cpu_percent(),
            "memory_used": memory.total - memory.available,
            "memory_total": memory.total,
            "disk_used": disk.total - disk.free,  # the space reserved for root counts as used
            "disk_total": disk.total,
            "process_cpu_percent": cpu,
            "process_memory": resident,
            "network_sent": sent,
            "network_received": received,
            "gpus": self._gpus.read(),
        }

    def _traffic_rate(self) -> tuple[float | None, float | None]:
        """Bytes a second that left and came over the network since the last reading."""
        before, self._traffic = self._traffic, self._traffic_so_far()
        if before is None or self._traffic is None:
            return None, None
        (then, *old), (now, *new) = before, self._traffic
        seconds = max(now - then, 1e-3)
        sent, received = (max(0.0, (b - a) / seconds) for a, b in zip(old, new, strict=True))
        return round(sent), round(received)

    def _traffic_so_far(self) -> tuple[float, float, float] | None:
        """The time, and the bytes over all of the machine's networks but the loopback."""
        try:
            cards = self._psutil.net_io_counters(pernic=True)
        except (self._psutil.Error, OSError):
            return None
        real = [card for name, card in cards.items() if not name.startswith("lo")]
        sent, received = sum(c.bytes_sent for c in real), sum(c.bytes_recv for c in real)
        return time.monotonic(), float(sent), float(received)

    def _tree_use(self) -> tuple[float, int]:
        # Process objects are kept: psutil measures CPU use since its last look at the same object.
        self._seen = {process: self._seen.get(process, process) for process in self._tree()}
        cpu, private, shared = 0.0, 0, 0
        for process in self._seen.values():
            with contextlib.suppress(self._psutil.Error):
                memory = process.memory_info()
                pages = getattr(memory, "shared", 0)
                cpu += process.cpu_percent()
                private += memory.rss - pages
                shared = max(shared, pages)
        # Ray's workers map the same libraries and object store, so shared pages are counted once.
        return round(cpu, 1), private + shared

    def _tree(self) -> list[Any]:
        try:
            # The children of the wrapper, so that adopted orphans count and the wrapper does not.
            return list(self._psutil.Process(self._pid).children(recursive=True))
        except self._psutil.Error:
            return []
