"""The tensors of a model's folder, read by rows out of files that are mapped into memory."""

import hashlib
import json
import re
import threading
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trainyard_node.export.refused import Refused
from trainyard_node.merge.digests import Digests
from trainyard_node.merge.shape import as_rows

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED, PICKLED_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
PART = re.compile(r"(?P<start>.*-)\d{1,5}-of-(?P<count>\d{1,5})(?P<end>\..*)")
VIEWS = 64  # tensors whose place in the memory map is remembered
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One tensor: its shape, its type, and the file that has it."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    file: Path

    @property
    def bytes(self) -> int:
        count = int(self.dtype.itemsize)
        for length in self.shape:
            count *= length
        return count


class Stored:
    """A model's folder. `entries` has its tensors by name; `bytes_read` counts what was read.
    `root` is the folder that no result may lie in.

    Raises Refused where a file is missing, cut off or no tensor file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = self.root = folder
        if not folder.is_dir():
            raise Refused(f"There is no model at {folder}.")
        self.config = read_json(folder / "config.json")
        self.bytes_read = 0
        self._digests: Digests | None = None
        self._view = lru_cache(VIEWS)(self._seen)
        self._lock = threading.Lock()
        self._open: dict[Path, Any] = {}
        self.entries: Mapping[str, Entry] = self._read_entries()
        if not self.entries:
            raise Refused(f"{folder} has no tensors.")

    @property
    def files(self) -> list[Path]:
        """All files that have its tensors."""
        return list(self._open)

    def rows(self, name: str, first: int, end: int) -> Tensor:
        """Rows of a tensor as (rows, width), in its own type; a vector is one row."""
        rows = as_rows(self._view(name))[first:end]
        self.seen(name, first, rows)
        return rows

    def picked(self, name: str, numbers: Sequence[int]) -> Tensor:
        """Some rows of a matrix, as `rows` gives them."""
        rows = as_rows(self._view(name))[list(numbers)]
        self.count(rows)
        return rows

    def watch(self) -> None:
        """Take the digest of each tensor from here on, as its rows are read."""
        self._digests = Digests(self.entries.values())

    def digest(self) -> str:
        """The SHA-256 of all tensors; `digests.py` says of which text. Tensors that were not read
        since `watch` are read for it."""
        if self._digests is None:
            self.watch()
        assert self._digests
        lines = [*self._digests.lines(self.rows), *self.beside()]
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()

    @property
    def roots(self) -> list[Path]:
        """The folders that no result may lie in."""
        return [self.root]

    def inputs(self) -> dict[str, str]:
        """The digest of each folder that the tensors come from."""
        return {str(self.root): self.digest()}

    def beside(self) -> list[str]:
        """Lines of the digest for what changes the tensors when they are read."""
        return []

    def seen(self, name: str, first: int, rows: Tensor) -> None:
        """Note that these rows of a tensor were read, as they are stored."""
        self.count(rows)
        if self._digests:
            self._digests.add(name, first, rows)

    def count(self, rows: Tensor) -> None:
        """Note that so many bytes were read."""
        with self._lock:
            self.bytes_read += rows.numel() * rows.dtype.itemsize

    def _seen(self, name: str) -> Tensor:
        """The whole tensor in the memory map of its file: nothing is read by that."""
        held = self._open[self.entries[name].file]
        view: Tensor = held[name] if isinstance(held, dict) else held.get_tensor(name)
        return view

    def _read_entries(self) -> dict[str, Entry]:
        for index, single in ((INDEX, SINGLE), (PICKLED_INDEX, PICKLED)):
            if (self.folder / index).is_file():
                return self._indexed(self.folder / index)
            if (self.folder / single).is_file():
                return {entry.name: entry for entry in self._entries(self.folder / single)}
        return self._unindexed()

    def _indexed(self, path: Path) -> dict[str, Entry]:
        """Each tensor from the file that the index names for it: a file may have others too."""
        named = read_json(path).get("weight_map")
        if not isinstance(named, dict) or not named:
            raise Refused(f"{path} has no weight_map.")
        files = sorted({str(name) for name in named.values()})
        for name in files:
            if "/" in name or name.startswith(".") or not (self.folder / name).is_file():
                raise Refused(f"{path.name} of {self.folder} names {name}, which is not there.")
        found = {
            entry.name: entry
            for name in files
            for entry in self._entries(self.folder / name)
            if named.get(entry.name) == name
        }
        for name in named:
            if name not in found:
                raise Refused(f"{path.name} of {self.folder} says that {named[name]} has {name}, "
                              "which it has not.")  # fmt: skip
        return found

    def _unindexed(self) -> dict[str, Entry]:
        files = sorted(self.folder.glob("*.safetensors"))
        if not files:
            raise Refused(f"{self.folder} has no model.safetensors and no index of shards.")
        _check_all_parts({file.name for file in files}, self.folder)
        found: dict[str, Entry] = {}
        for entry in (entry for file in files for entry in self._entries(file)):
            if entry.name in found:
                both = f"{found[entry.name].file.name} and {entry.file.name}"
                raise Refused(f"{entry.name} is in {both} of {self.folder}, and no index says "
                              "which one counts.")  # fmt: skip
            found[entry.name] = entry
        return found

    def _entries(self, file: Path) -> list[Entry]:
        if file.suffix == ".bin":
            return self._pickled(file)
        try:
            held = self._open[file] = safe_open(file, "pt")
            return [self._entry(held, name, file) for name in held.keys()]  # type: ignore[no-untyped-call]  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise Refused(f"{file} cannot be read, it may be cut off: {error}") from error

    def _entry(self, held: Any, name: str, file: Path) -> Entry:
        part = held.get_slice(name)
        kind = part.get_dtype()
        if kind not in DTYPES:
            raise Refused(f"{name} of {file} is of the type {kind}, which is not merged.")
        return Entry(name, tuple(part.get_shape()), DTYPES[kind], file)

    def _pickled(self, file: Path) -> list[Entry]:
        try:
            held = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        except Exception as error:
            raise Refused(
                f"{file} holds more than tensors, or is cut off: {error}"[:400]
            ) from error
        if not isinstance(held, dict):
            raise Refused(f"{file} is no mapping of names to tensors.")
        self._open[file] = {k: v for k, v in held.items() if isinstance(v, Tensor)}
        return [
            Entry(name, tuple(tensor.shape), tensor.dtype, file)
            for name, tensor in self._open[file].items()
        ]


def _check_all_parts(names: Set[str], folder: Path) -> None:
    """Of files that are numbered as parts, all must be there."""
    for name in sorted(names):
        if part := PART.fullmatch(name):
            start, count, end = part["start"], part["count"], part["end"]
            for number in range(1, int(count) + 1):
                other = f"{start}{number:0{len(count)}d}-of-{count}{end}"
                if other not in names:
                    raise Refused(f"{folder} has {name}, but not {other}.")


def read_json(path: Path) -> dict[str, Any]:
    """Raises Refused where it is no JSON object."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise Refused(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise Refused(f"{path} is no JSON object.")
    return data
