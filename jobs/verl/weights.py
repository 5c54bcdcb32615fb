"""Inspect the weights of a model folder by the headers of their files: no weights are loaded."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

WHOLE = ("model.safetensors", "pytorch_model.bin")  # in the order in which transformers looks
INDEXES = tuple(f"{name}.index.json" for name in WHOLE)
NAMES = "model.safetensors, pytorch_model.bin, or the index of their parts"
LFS = b"version https://git-lfs"
LONGEST_HEADER = 100_000_000  # bytes; safetensors reads no longer one
MOST_READ = 32 << 20  # bytes of a header or an index that is read here

Shape = tuple[int, ...]


class WeightsError(ValueError):
    """The weights cannot be loaded. The message is a sentence that names the file."""


def read_shapes(folder: Path) -> dict[str, Shape]:
    """The shape of each tensor, as far as the headers tell; files of torch.save do not.

    Raises ``WeightsError`` where transformers could not load the weights.
    """
    for whole, index in zip(WHOLE, INDEXES, strict=True):
        if (folder / whole).is_file():
            return dict(_shapes(folder / whole))
        if (folder / index).is_file():
            return _of_parts(folder, index)
    raise WeightsError(f"{folder} has no weights ({NAMES}).{_loose_parts(folder)}")


def refuse_pointer(path: Path) -> None:
    """Refuse what Git LFS leaves in place of a file. Raises ``WeightsError``."""
    try:
        with path.open("rb") as file:
            is_pointer = file.read(len(LFS)) == LFS
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from None
    if is_pointer:
        size = path.stat().st_size
        raise WeightsError(
            f"{path} is a Git LFS pointer of {size} bytes, not the file itself: run git lfs pull."
        )


def _loose_parts(folder: Path) -> str:
    for pattern in ("*.safetensors", "*.bin"):
        for part in folder.glob(pattern):
            return f" Without an index, {part.name} is not loaded."
    return ""


def _of_parts(folder: Path, index: str) -> dict[str, Shape]:
    places = _placed(folder / index)
    found: dict[str, Shape] = {}
    for name in sorted(set(places.values())):
        if "/" in name or not (folder / name).is_file():
            raise WeightsError(f"{folder} has no file {name}, which {index} names.")
        found |= _shapes(folder / name)
    if found and (lacking := next((tensor for tensor in places if tensor not in found), None)):
        raise WeightsError(f"{folder / places[lacking]} has no {lacking}, which {index} names.")
    return found


def _placed(index: Path) -> Mapping[str, str]:
    refuse_pointer(index)
    with index.open("rb") as file:
        data = file.read(MOST_READ)
    try:
        return placed(data)
    except ValueError:
        raise WeightsError(f"{index} names no files of weights: it has no weight_map.") from None


def placed(index: bytes) -> Mapping[str, str]:
    """The file of each tensor, as an index names them. Raises ``ValueError``."""
    try:
        places: Mapping[str, str] = json.loads(index)["weight_map"]
        if places and all(isinstance(name, str) for name in places.values()):
            return places
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    raise ValueError


def _shapes(path: Path) -> Mapping[str, Shape]:
    refuse_pointer(path)
    state = path.stat()
    if not state.st_size:
        raise WeightsError(f"{path} is empty.")
    try:
        if path.suffix == ".safetensors":
            return _header(path, state.st_mtime_ns, state.st_size)
        _check_torch(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from None
    return {}


@lru_cache(maxsize=512)  # a preview asks at each key that is pressed
def _header(path: Path, modified: int, size: int) -> Mapping[str, Shape]:
    """The tensors of a safetensors file: 8 bytes of length, JSON, and the data that it places."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= LONGEST_HEADER:
            raise WeightsError(f"{path} is no safetensors file: it begins with no header.")
        if 8 + length > size:
            raise WeightsError(f"{path} is cut off: its header alone has {8 + length} bytes.")
        if length > MOST_READ:
            return {}
        header = file.read(length)
    tensors = dict(_tensors(path, header))
    whole = _whole(header, tensors)
    if size < whole:
        raise WeightsError(f"{path} is cut off: it has {size} bytes of {whole}.")
    if size > whole:
        raise WeightsError(f"{path} has {size} bytes, and its header places only {whole}.")
    return {name: shape for name, (shape, _) in tensors.items()}


def _tensors(path: Path, header: bytes) -> Iterator[tuple[str, tuple[Shape, int]]]:
    try:
        for name, told in json.loads(header).items():
            if name != "__metadata__":
                yield name, (tuple(map(int, told["shape"])), _end(told))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise WeightsError(f"{path} is no safetensors file: its header cannot be read.") from None


def whole_size(path: Path, header: bytes) -> int:
    """The bytes of a safetensors file with this header. Raises ``WeightsError``."""
    return _whole(header, dict(_tensors(path, header)))


def _whole(header: bytes, tensors: Mapping[str, tuple[Shape, int]]) -> int:
    return 8 + len(header) + max((end for _, end in tensors.values()), default=0)


def _end(told: Mapping[str, Any]) -> int:
    begin, end = map(int, told["data_offsets"])
    if not 0 <= begin <= end:
        raise ValueError
    return end


def _check_torch(path: Path) -> None:
    """A file of torch.save is a zip, which ends with the list of its entries, or a pickle."""
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"\x80\x02":
        return
    try:
        zipfile.ZipFile(path).close()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        what = "is cut off" if start == b"PK" else "is no file of torch.save"
        raise WeightsError(f"{path} {what}: it has no list of its parts at the end.") from None
