"""A digest of a folder, by which two folders with the same content are known."""

import hashlib
import json
from pathlib import Path


def digest_of(folder: Path) -> str:
    """SHA-256, in hex, of the sorted list of its files: each name, size in bytes and SHA-256.

    The platform computes the same of a folder that it sends (``digest_of`` of its SSH runner).
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    listed = sorted(
        [path.relative_to(folder).as_posix(), path.stat().st_size, _sha256(path)] for path in files
    )
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
