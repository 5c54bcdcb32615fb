"""Tensors into safetensors files whose headers are written first: all sizes are known before."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from trainyard_node.merge.digests import bytes_of
from trainyard_node.merge.stored import DTYPES, INDEX, SINGLE

NAMES = {dtype: name for name, dtype in DTYPES.items()}
ALIGNED = 8  # a header's length is a multiple of it


class Made(Protocol):
    """A tensor that will be made."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def bytes(self) -> int: ...


@dataclass(frozen=True)
class Shard:
    """One file and the tensors in it, in their order."""

    file: str
    tensors: tuple[Made, ...]

    def header(self) -> bytes:
        described: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        place = 0
        for each in self.tensors:
            described[each.name] = {
                "dtype": NAMES[each.dtype],
                "shape": list(each.shape),
                "data_offsets": [place, place + each.bytes],
            }
            place += each.bytes
        text = json.dumps(described, separators=(",", ":")).encode()
        text += b" " * (-len(text) % ALIGNED)
        return len(text).to_bytes(8, "little") + text

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        return sum(each.bytes for each in self.tensors)


def shards(tensors: Sequence[Made], most: int) -> list[Shard]:
    """The tensors in files of at most `most` bytes, or one tensor where that alone is larger."""
    groups: list[list[Made]] = [[]]
    size = 0
    for each in tensors:
        if groups[-1] and size + each.bytes > most:
            groups.append([])
            size = 0
        groups[-1].append(each)
        size += each.bytes
    if len(groups) == 1:
        return [Shard(SINGLE, tuple(groups[0]))]
    return [
        Shard(f"model-{number:05}-of-{len(groups):05}.safetensors", tuple(group))
        for number, group in enumerate(groups, 1)
    ]


class ShardFile:
    """One shard on the disk, of its whole length from the start: a full disk shows at once."""

    def __init__(self, folder: Path, shard: Shard) -> None:
        header = shard.header()
        self._places = dict(_places(shard, len(header)))
        path = folder / shard.file
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        whole = len(header) + shard.size
        os.posix_fallocate(self._file, 0, whole)
        os.pwrite(self._file, header, 0)

    def write(self, name: str, at: int, tensor: Tensor) -> int:
        """Write a part of a tensor, `at` bytes behind its beginning. Gives its bytes."""
        data = bytes_of(tensor)
        place, done = self._places[name] + at, 0
        while done < len(data):
            done += os.pwrite(self._file, data[done:], place + done)
        return len(data)

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def write_index(folder: Path, made: Sequence[Shard]) -> None:
    """The index that names each tensor's file."""
    named = {each.name: shard.file for shard in made for each in shard.tensors}
    total = sum(shard.size for shard in made)
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": named}, indent=2)
    (folder / INDEX).write_text(text + "\n")


def _places(shard: Shard, place: int) -> Iterator[tuple[str, int]]:
    for each in shard.tensors:
        yield each.name, place
        place += each.bytes
