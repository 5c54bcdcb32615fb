"""What a chaos by hand begins with: a home, a database, and Django on them."""

import os
import tempfile
from pathlib import Path


def prepared(python: str) -> Path:
    """A new folder with a ``home``; ``python`` below it is this machine's Python."""
    folder = Path(tempfile.mkdtemp(prefix="trainyard-chaos-"))
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "platform_site.settings",
        "TRAINYARD_HOME": str(home),
        "TRAINYARD_PATHS": str(folder),
        "TRAINYARD_TRAIN_PYTHON": str(folder / python),
    }
    for name in ("DATABASE_URL", "CHANNEL_REDIS_URL", "QUEUE_REDIS_URL"):
        os.environ.pop(name, None)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    return folder


def say(line: str) -> None:
    print(line, flush=True)
