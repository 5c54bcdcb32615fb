"""Model folders of this machine that runs elsewhere may be sent."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

from compute.runners.base import Piece, RunnerError
from jobs.files.digests import digest_of
from jobs.verl.model_dir import HUB_NAME, cached_model, inspect_model
from platform_site.bounded.calls import of_file
from platform_site.paths import allowed

MOST_FILES = 2000  # of a model; more is some other folder


def own_model(path: str) -> Path:
    """The real folder of a model of this machine. Raises ``ValueError`` with a sentence."""
    folder = allowed(path)
    if folder is None:
        raise ValueError(f"{path} lies outside the folders that may be read here")
    if Path(settings.TRAINYARD_HOME).resolve().is_relative_to(folder):
        raise ValueError(f"{path} holds Trainyard's own files")
    if problem := of_file(inspect_model, folder).problem:
        raise ValueError(problem.removesuffix("."))
    return folder


def files_of(folder: Path) -> list[tuple[str, Path, int]]:
    """(name below the folder, real path, bytes) of each file to be sent, hidden ones left out.

    Links are resolved as a Hugging Face cache has them, though only within the allowed folders.
    Raises ``ValueError``.
    """
    found = list(_walk(folder))
    if len(found) > MOST_FILES:
        raise ValueError(f"{folder} has more than {MOST_FILES} files: it is more than a model")
    return found


def _walk(folder: Path) -> Iterator[tuple[str, Path, int]]:
    left = MOST_FILES
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if links := [name for name in below if Path(place, name).is_symlink()]:
            raise ValueError(f"{place}/{links[0]} is a link to a folder")
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(place, name)
            real = allowed(str(path))
            if real is None or not real.is_file():
                raise ValueError(f"{path} is no file in the folders that may be read here")
            yield str(path.relative_to(folder)), real, real.stat().st_size
            left -= 1
            if left < 0:
                return


def pieces_of(folder: Path, told: Callable[[int, int], None]) -> list[Piece]:
    """The folder by content. ``told`` hears how much of it was read. Raises ``RunnerError``."""
    try:
        files = files_of(folder)
    except (OSError, ValueError) as error:
        raise RunnerError(f"The model cannot be sent: {error}.") from error
    total, done = sum(size for _, _, size in files), 0

    def read(count: int) -> None:
        nonlocal done
        done += count
        told(done, total)

    return [Piece(name, folder / name, size, digest_of(real, read)) for name, real, size in files]


def model_folder(text: str) -> Path | None:
    """Where a model that is on this machine lies."""
    return cached_model(text, hub_cache()) if HUB_NAME.fullmatch(text) else allowed(text)


def hub_cache() -> Path:
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
