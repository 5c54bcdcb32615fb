"""Sends files and folders to the disk that the cluster's nodes share, as packages of Ray's API."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compute.runners.base import Piece, RunnerError, Told
from compute.runners.cluster import calls
from compute.runners.cluster.api import RayApi
from compute.runners.cluster.package import file_package
from compute.runners.ssh import folders, transfer
from platform_site.counts import size_text

# The dashboard takes no larger package, its head included.
LARGEST_SENT = 95 << 20
SHARED = "a file system that the cluster's nodes share"


class Sender:
    """What has the same content lies at the same place below ``workdir``, and is sent once."""

    def __init__(self, api: RayApi, python: str, workdir: str) -> None:
        self._api, self._python, self._workdir = api, python, workdir

    def put(self, source: Path, digest: str, told: Told) -> str:
        if not transfer.DIGEST.fullmatch(digest):
            raise RunnerError(f"{digest!r} is no SHA-256 in hex.")
        target = f"{self._workdir}/files/{digest}/{transfer.safe_name(source.name)}"
        try:
            size = source.stat().st_size
            if not self._call("has", path=target, size=size):
                _check_size(source, size, f"Copy it to {target}, on {SHARED}.")
                self._send("put", [source], path=target, digest=digest)
        except OSError as error:
            raise RunnerError(f"{source} cannot be read: {error.strerror}") from error
        told(size, size)
        return target

    def put_folder(self, folder: Path, pieces: Sequence[Piece], told: Told) -> str:
        target = f"{self._workdir}/{folders.MODELS}/{folders.digest_of(pieces)}"
        parts = [(piece.name, piece.size, piece.digest) for piece in pieces]
        size = sum(piece.size for piece in pieces)
        if not self._call("has_folder", path=target, parts=parts):
            _check_size(folder, size, f"Copy it to {SHARED}, and name its path there.")
            try:
                self._send("put_folder", [one.source for one in pieces], path=target, parts=parts)
            except OSError as error:
                raise RunnerError(f"{folder} cannot be read: {error.strerror}") from error
        told(size, size)
        return target

    def _send(self, do: str, sources: Sequence[Path], **asked: Any) -> None:
        name, data = file_package(sources)
        self._api.bring(name, data)
        within = calls.ANSWERS_WITHIN * 2
        self._call(do, within=within, working_dir=f"gcs://{name}", **asked)

    def _call(self, do: str, **asked: Any) -> Any:
        return calls.call(self._api, self._python, do, **asked)


def _check_size(source: Path, size: int, remedy: str) -> None:
    if size > LARGEST_SENT:
        raise RunnerError(
            f"{source.name} has {size_text(size)}; Ray's API takes {LARGEST_SENT >> 20} MiB at "
            f"most. {remedy}"
        )
