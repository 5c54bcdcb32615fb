"""Whether a model lies on a machine so that its user can load it: whole and readable."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePosixPath

from compute.runners.base import Runner, RunnerError, RunnerUnsure, Stretch, Unreachable
from jobs.verl.weights import INDEXES, LFS, MOST_READ, WHOLE, WeightsError, placed, whole_size

CONFIG = "config.json"
AT_ONCE = 16  # files whose beginnings are held at a time


def lack_of(runner: Runner, path: str) -> str:
    """Why a run could not load the model at this path of the machine; empty if it could.

    Raises ``Unreachable`` and ``RunnerUnsure``.
    """
    try:
        return _lack(runner, PurePosixPath(path))
    except (Unreachable, RunnerUnsure):
        raise
    except RunnerError as error:  # such as a file or a folder that its user may not read
        return str(error).removesuffix(".")


def _lack(runner: Runner, folder: PurePosixPath) -> str:
    def read(name: str) -> bytes:
        return runner.read(str(folder / name), 0, MOST_READ)

    if not runner.read(str(folder / CONFIG), 0, 1):
        return f"there is no {CONFIG} in it"
    sizes = {fact.path: fact.size for fact in runner.files(str(folder))}
    try:
        weights = _weights(sizes, read)
    except ValueError:
        return "the index of its weights names none"
    if not weights:
        return "there are no weights in it"
    if absent := next((name for name in weights if not sizes.get(name)), ""):
        return f"there is no whole {absent} in it"
    for start in range(0, len(weights), AT_ONCE):
        some = {name: sizes[name] for name in weights[start : start + AT_ONCE]}
        if lack := _faulty(runner, folder, some):
            return lack
    return ""


def _faulty(runner: Runner, folder: PurePosixPath, sizes: Mapping[str, int]) -> str:
    """The first of these files that is not what its name says, or is cut off."""
    wanted = [Stretch(str(folder / name), 0, len(LFS)) for name in sizes]
    lengths: dict[str, int] = {}
    for name, start in zip(sizes, runner.read_many(wanted), strict=True):
        if start == LFS:
            return f"{name} is a Git LFS pointer, not the file itself"
        if name.endswith(".safetensors"):
            lengths[name] = int.from_bytes(start[:8], "little")
        if lengths.get(name, 0) > MOST_READ:
            return f"{name} is no safetensors file"
    wanted = [Stretch(str(folder / name), 8, length) for name, length in lengths.items()]
    headers = zip(lengths, runner.read_many(wanted), strict=True)
    return next(filter(None, (_cut(name, header, sizes[name]) for name, header in headers)), "")


def _cut(name: str, header: bytes, size: int) -> str:
    """Whether a file is cut off, as by a copy that is still under way."""
    try:
        whole = whole_size(Path(name), header)
    except WeightsError:
        return f"{name} is no whole safetensors file"
    return f"{name} has {size} bytes of {whole}" if size < whole else ""


def _weights(names: Collection[str], read: Callable[[str], bytes]) -> list[str]:
    """The files that transformers would load. Raises ``ValueError`` for an index that is none."""
    for whole, index in zip(WHOLE, INDEXES, strict=True):
        if whole in names:
            return [whole]
        if index in names:
            return sorted(set(placed(read(index)).values()))
    return []
