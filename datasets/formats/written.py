"""Facts about files that were written."""

import hashlib
from pathlib import Path


def hash_of(*paths: Path) -> tuple[int, str]:
    """Bytes of all files, and the SHA-256 of their SHA-256 texts, joined by a space."""
    each = []
    for path in paths:
        with path.open("rb") as file:
            each.append(hashlib.file_digest(file, "sha256").hexdigest())
    text = " ".join(each).encode()
    return sum(path.stat().st_size for path in paths), hashlib.sha256(text).hexdigest()
