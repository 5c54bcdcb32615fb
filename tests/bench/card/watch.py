"""What a phase took: memory by PyTorch's allocator, time by the card's own clock."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median
from typing import Any, Protocol

import torch


class Watch(Protocol):
    def phase(self, name: str) -> AbstractContextManager[None]: ...


class Nothing:
    """For a warm-up."""

    def phase(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()


class Peaks:
    """The highest bytes ``allocated`` to tensors and ``reserved`` by the allocator in each phase;
    of several with one name, the highest. Only a card has them."""

    def __init__(self) -> None:
        self.bytes: dict[str, dict[str, int]] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        torch.cuda.reset_peak_memory_stats()
        try:
            yield
        finally:
            found = {
                "allocated": torch.cuda.max_memory_allocated(),
                "reserved": torch.cuda.max_memory_reserved(),
            }
            before = self.bytes.get(name, found)
            self.bytes[name] = {kind: max(size, before[kind]) for kind, size in found.items()}


class Clock:
    """Seconds of each phase, summed over those of one name. CUDA's events do not hold up the
    launches of the next phase, as waiting for the card would."""

    def __init__(self, device: str) -> None:
        self._is_cuda = device == "cuda"
        self._marks: dict[str, list[tuple[Any, Any]]] = defaultdict(list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = self._mark()
        yield
        self._marks[name].append((began, self._mark()))

    def seconds(self) -> dict[str, float]:
        if self._is_cuda:
            torch.cuda.synchronize()
        return {
            name: sum(self._between(*pair) for pair in pairs) for name, pairs in self._marks.items()
        }

    def _mark(self) -> Any:
        if not self._is_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, began: Any, ended: Any) -> float:
        return float(began.elapsed_time(ended) / 1000 if self._is_cuda else ended - began)


def medians(turns: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(turn[name] for turn in turns) for name in turns[0]}
