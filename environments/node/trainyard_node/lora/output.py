"""Tensors that come in rows, written into a folder as a model or an adapter has them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainyard_node.export.place import check_space
from trainyard_node.export.refused import Refused
from trainyard_node.merge.inputs import is_finite
from trainyard_node.merge.journal import sync, sync_folder
from trainyard_node.merge.writer import Shard, ShardFile, write_index

Rows = Iterator[Tensor]


@dataclass(frozen=True)
class Making:
    """A tensor that will be written: its name, shape and type."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        count = int(self.dtype.itemsize)
        for length in self.shape:
            count *= length
        return count


def write_shards(
    folder: Path,
    shards: Sequence[Shard],
    rows_of: Callable[[str], Rows],
    told: Callable[[int], None],
) -> None:
    """Write each shard's tensors in order. `rows_of` gives a tensor's rows by its name; `told`
    hears how many bytes are written in all.

    Raises Refused where a value cannot be written, and where the disk has no room.
    """
    check_space(folder, sum(shard.size for shard in shards))
    done = 0
    for shard in shards:
        with contextlib.closing(ShardFile(folder, shard)) as file:
            for each in shard.tensors:
                at = 0
                for rows in rows_of(each.name):
                    at += file.write(each.name, at, _cast(each.name, rows, each.dtype))
                    told(done + at)
                done += each.bytes
            file.sync()


def seal(folder: Path, shards: Sequence[Shard]) -> None:
    """Write the index, and have all files of the folder on the disk for good."""
    write_index(folder, shards)
    make_safe(folder)


def make_safe(folder: Path) -> None:
    """Have all files of the folder on the disk for good."""
    for path in folder.iterdir():
        sync(path)
    sync_folder(folder)


def _cast(name: str, rows: Tensor, dtype: torch.dtype) -> Tensor:
    out = rows.to(dtype)
    if out.is_floating_point() and not is_finite(out):
        raise Refused(f"{name} would hold NaN or values that {dtype} cannot hold.")
    return out
