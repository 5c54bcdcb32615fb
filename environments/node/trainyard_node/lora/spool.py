"""Tensors whose sizes are known only one after another, on the disk until all are there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from trainyard_node.lora.output import Making, write_shards
from trainyard_node.merge.writer import Shard

ALIGNED = 8  # bytes
CHUNK = 1 << 20  # elements that are copied at a time


class Spool:
    """A file beside the result, which is removed when the result is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._places: dict[str, tuple[Making, int]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def add(self, name: str, tensor: Tensor) -> None:
        """Put a tensor behind the others."""
        each = Making(name, tuple(tensor.shape), tensor.dtype)
        self._places[name] = (each, self._file.tell())
        self._file.write(memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()))
        self._file.write(b"\0" * (-each.bytes % ALIGNED))

    def write(self, folder: Path, file: str, told: Callable[[int], None]) -> None:
        """Write all tensors into one safetensors file of `folder`, and remove the spool.

        Raises Refused where the disk has no room for it.
        """
        self._file.close()
        shard = Shard(file, tuple(each for each, _ in self._places.values()))
        write_shards(folder, [shard], self._rows, told)
        self._path.unlink()

    def _rows(self, name: str) -> Iterator[Tensor]:
        each, at = self._places[name]
        size = self._path.stat().st_size
        held = torch.from_file(str(self._path), shared=False, size=size, dtype=torch.uint8)
        yield from held[at : at + each.bytes].view(each.dtype).split(CHUNK)
