"""Folders that recipes may name."""

from pathlib import PurePosixPath

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
