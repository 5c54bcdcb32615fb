"""A process of its own: it belongs to nobody's session, and outlives the worker that starts it."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from platform_site.bounded.limits import FRUGAL

HANDED = "TRAINYARD_PLACE"  # names the open file of the place that a process was started with


def start_process(*argv: str, place: int | None = None) -> None:
    """Start ``manage.py`` with this ``argv``. What it prints is added to a log of the command.

    A task of the queue may take two minutes only, and there are two workers: what takes longer is
    started by a task and done by such a process.
    """
    handed = {} if place is None else {HANDED: str(place)}
    with (Path(settings.TRAINYARD_HOME) / f"{argv[0]}.log").open("ab") as out:
        subprocess.Popen(
            [sys.executable, "manage.py", *argv],
            cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={**FRUGAL, **os.environ, **handed}, start_new_session=True,
            pass_fds=[] if place is None else [place],
        )  # fmt: skip
