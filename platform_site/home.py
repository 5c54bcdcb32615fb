"""The folder that holds all state: database, key, samples and runs."""

import fcntl
import os
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any


def open_home(path: Path) -> Path:
    """Make the folder if it is missing, readable by its owner only; return its absolute path."""
    home = path.expanduser().resolve()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def secret_key(home: Path) -> str:
    """Return the site's key, which the first start makes.

    Several processes may start at once: each writes a whole key file and then links it into place.
    One of them wins, and the others read the winner's key.
    """
    path = home / "secret_key"
    if not path.exists():
        handle, part = tempfile.mkstemp(dir=home)  # mkstemp gives the file mode 0600
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(50))
        with suppress(FileExistsError):
            os.link(part, path)
        Path(part).unlink()
    return path.read_text()


def instance_name(database: Mapping[str, Any]) -> str:
    """A name for this database's site, so that instances share a browser or a Redis without
    clashes."""
    where = f"{database.get('HOST', '')}/{database['NAME']}"
    return f"trainyard-{sha256(where.encode()).hexdigest()[:8]}"


def lock_of(home: Path) -> Path:
    """The file that ``manage.py up`` locks for as long as it runs."""
    return home / "up.lock"


def is_up(home: Path) -> bool:
    """Whether ``manage.py up`` runs on this home."""
    try:
        with lock_of(home).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
