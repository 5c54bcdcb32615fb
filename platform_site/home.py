"""The folder that holds all state: database, key, samples and runs."""

import os
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any


def open_home(path: Path) -> Path:
    """Make the folder if it is not there, readable by its owner only, and return it absolute."""
    home = path.expanduser().resolve()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def secret_key(home: Path) -> str:
    """Return the site's key, made at the first start.

    Several processes may start at once: a key is written whole and then linked into place,
    so one of them wins and the others read what it wrote.
    """
    path = home / "secret_key"
    if not path.exists():
        handle, part = tempfile.mkstemp(dir=home)  # mkstemp makes it 0600
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(50))
        with suppress(FileExistsError):
            os.link(part, path)
        Path(part).unlink()
    return path.read_text()


def instance_name(database: Mapping[str, Any]) -> str:
    """What tells two instances apart where they share a browser or a Redis."""
    where = f"{database.get('HOST', '')}/{database['NAME']}"
    return f"trainyard-{sha256(where.encode()).hexdigest()[:8]}"
