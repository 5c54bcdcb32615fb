"""Folders that recipes may name."""

from pathlib import Path, PurePosixPath
from uuid import UUID

from django.conf import settings


def places() -> dict[str, str]:
    """Folders that recipes may name."""
    node = settings.BASE_DIR / "environments/node/trainyard_node"
    return {
        "samples": str(settings.TRAINYARD_HOME / "samples"),
        "rewards": str(node / "rewards"),
    }


def is_of_samples(path: str) -> bool:
    """Whether a path lies in a folder that recipes may name: it came with Trainyard."""
    where = PurePosixPath(path)
    return ".." not in where.parts and any(map(where.is_relative_to, places().values()))


def mirror_folder(uuid: UUID) -> Path:
    """Where the copies of a far job's logs are kept here."""
    return Path(settings.TRAINYARD_HOME) / "mirror" / str(uuid)
