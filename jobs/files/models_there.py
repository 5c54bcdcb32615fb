"""Whether a model lies on a machine so that its user can load it: whole and readable."""

from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

from compute.runners.base import Runner, RunnerError, RunnerUnsure, Stretch, Unreachable
from jobs.verl.weights import INDEXES, LFS, MOST_READ, WHOLE, WeightsError, placed, whole_size

CONFIG = "config.json"
MOST_TRIED = 16  # files that are opened; each is a round trip on a cluster


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
    tried = weights[:MOST_TRIED]
    starts = runner.read_many([Stretch(str(folder / name), 0, len(LFS)) for name in tried])
    if LFS in starts:
        return f"{tried[starts.index(LFS)]} is a Git LFS pointer, not the file itself"
    return _cut(runner, folder / weights[0], sizes[weights[0]])


def _cut(runner: Runner, file: PurePosixPath, size: int) -> str:
    """Whether the first file is cut off, as by a copy that is still under way."""
    if file.suffix != ".safetensors":
        return ""
    length = int.from_bytes(runner.read(str(file), 0, 8), "little")
    if length > MOST_READ:
        return f"{file.name} is no safetensors file"
    try:
        whole = whole_size(Path(file), runner.read(str(file), 8, length))
    except WeightsError:
        return f"{file.name} is no whole safetensors file"
    return f"{file.name} has {size} bytes of {whole}" if size < whole else ""


def _weights(names: Collection[str], read: Callable[[str], bytes]) -> list[str]:
    """The files that transformers would load. Raises ``ValueError`` for an index that is none."""
    for whole, index in zip(WHOLE, INDEXES, strict=True):
        if whole in names:
            return [whole]
        if index in names:
            return sorted(set(placed(read(index)).values()))
    return []
