"""Counts what PyTorch allocates and frees, by storage, as CUDA's caching allocator would."""

import weakref
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.weak import WeakIdKeyDictionary

BLOCK = 512  # CUDA's caching allocator hands out multiples of it


def rounded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


class _Entry:
    def __init__(self, tag: str, size: int) -> None:
        self.tag, self.size = tag, size


class Allocations(TorchDispatchMode):
    """``now`` bytes are allocated, ``peak`` were at most, ``at_peak`` by tag, and ``peaks`` by
    phase: what the caller set ``phase`` to when an allocation was made."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: Any = WeakIdKeyDictionary()
        self.phase = "before"
        self.now = self.peak = 0
        self.by_tag: dict[str, int] = {}
        self.at_peak: dict[str, int] = {}
        self.peak_phase = self.peak_operation = self._operation = ""
        self.peaks: dict[str, int] = {}

    def hold(self, tensor: torch.Tensor, tag: str) -> None:
        """Count a tensor that was made before."""
        local = tensor._local_tensor if isinstance(tensor, DTensor) else tensor
        storage = local.untyped_storage()
        entry = self._entries.get(storage)
        if entry is None:
            self._add(storage, tag)
        else:
            self._change(entry[0].tag, -entry[0].size)
            entry[0].tag = tag
            self._change(tag, entry[0].size)

    def _change(self, tag: str, size: int) -> None:
        self.by_tag[tag] = self.by_tag.get(tag, 0) + size
        self.now += size

    def _add(self, storage: torch.UntypedStorage, tag: str) -> None:
        entry = _Entry(tag, rounded(storage.nbytes()))

        def freed(_: Any) -> None:
            self._change(entry.tag, -entry.size)

        self._entries[storage] = (entry, weakref.ref(storage, freed))
        self._change(tag, entry.size)

    def _resized(self, entry: _Entry, storage: torch.UntypedStorage) -> None:
        size = rounded(storage.nbytes())
        self._change(entry.tag, size - entry.size)
        entry.size = size

    def _look(self) -> None:
        if self.now > self.peaks.get(self.phase, 0):
            self.peaks[self.phase] = self.now
        if self.now > self.peak:
            self.peak, self.at_peak = self.now, dict(self.by_tag)
            self.peak_phase, self.peak_operation = self.phase, self._operation

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(one is DTensor for one in types):
            return NotImplemented  # its local tensors come here afterwards
        result = func(*args, **(kwargs or {}))
        self._operation = str(func)
        for one in tree_flatten(result)[0]:
            if isinstance(one, torch.Tensor) and not isinstance(one, DTensor):
                storage = one.untyped_storage()
                entry = self._entries.get(storage)
                if entry is None:
                    self._add(storage, self.phase)
                elif entry[0].size != rounded(storage.nbytes()):
                    self._resized(entry[0], storage)
        self._look()
        return result

    def __enter__(self) -> "Allocations":
        self._resize = torch.UntypedStorage.resize_

        def resize(storage: torch.UntypedStorage, size: int) -> None:
            self._resize(storage, size)
            entry = self._entries.get(storage)
            if entry is not None:
                self._resized(entry[0], storage)
            self._operation = "resize"
            self._look()

        torch.UntypedStorage.resize_ = resize
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        torch.UntypedStorage.resize_ = self._resize
        super().__exit__(*error)
