"""Folders that recipes may name."""

from django.conf import settings


def places() -> dict[str, str]:
    """Folders that recipes may name."""
    node = settings.BASE_DIR / "environments/node/trainyard_node"
    return {
        "samples": str(settings.TRAINYARD_HOME / "samples"),
        "rewards": str(node / "rewards"),
    }
