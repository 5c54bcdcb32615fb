"""The training environments that this repository describes: one folder for each release of verl."""

import re
import tomllib
from functools import cache
from pathlib import Path

from django.conf import settings

from compute.runners.check.judgements import read_lock


def folder_of(release: str) -> str:
    """The name of a release's folder: ``0.9.1`` is in ``verl-0.9``."""
    return "verl-" + ".".join(release.split(".")[:2])


def releases() -> list[str]:
    """The releases of verl that there is a lock for, the newest first."""
    return _releases(_root())


def lock_of(release: str) -> dict[str, str]:
    """The pins of a release; empty when there is no lock for it."""
    path = _root() / folder_of(release) / "lock.txt"
    return read_lock(path.read_text()) if path.exists() else {}


def node_version() -> str:
    """The version of the node package that a set-up sends."""
    project = tomllib.loads((_root() / "node/pyproject.toml").read_text())["project"]
    return str(project["version"])


def _root() -> Path:
    return Path(settings.TRAINYARD_VERL_SCHEMA)


@cache
def _releases(root: Path) -> list[str]:
    texts = [path.read_text() for path in root.glob("verl-*/requirements.txt")]
    found = [match.group(1) for text in texts if (match := re.search(r"^verl==(\S+)", text, re.M))]
    return sorted(
        found, key=lambda release: [int(part) for part in release.split(".")], reverse=True
    )
