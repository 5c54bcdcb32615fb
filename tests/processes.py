"""Run manage.py as a separate process on the test's database and home."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
MANAGE = (sys.executable, str(ROOT / "manage.py"))
PASSED_ON = ("PATH", "HOME", "LANG", "CHANNEL_REDIS_URL", "QUEUE_REDIS_URL")


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a separate process that uses the test's database."""
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {
        **env,
        "DJANGO_SETTINGS_MODULE": "platform_site.settings",
        "TRAINYARD_HOME": str(home),
        "TRAINYARD_SECRET_KEY": str(settings.SECRET_KEY),
        "TRAINYARD_TRAIN_PYTHON": str(settings.TRAINYARD_TRAIN_PYTHON),
        "DATABASE_URL": database_url(),
        **more,
    }


def database_url() -> str:
    """The test database as a URL."""
    facts: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    where = f"{facts['HOST']}:{facts['PORT'] or 5432}"
    who = facts["USER"] + (f":{facts['PASSWORD']}" if facts["PASSWORD"] else "")
    return f"postgres://{who}@{where}/{facts['NAME']}"


def run(*argv: str, env: dict[str, str], within: float = 60) -> subprocess.CompletedProcess[str]:
    """Run manage.py to its end."""
    return subprocess.run(
        [*MANAGE, *argv],
        env=env, cwd=ROOT, capture_output=True, text=True, timeout=within, check=False,
    )  # fmt: skip


@contextmanager
def running(
    *argv: str, env: dict[str, str], output: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run manage.py during the block; then end it and all that it started."""
    with (output or Path(os.devnull)).open("a") as file:
        process = subprocess.Popen(
            [*MANAGE, *argv],
            env=env, cwd=ROOT, text=True, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        end_tree(process)


def end_tree(process: subprocess.Popen[str]) -> None:
    found: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        found = psutil.Process(process.pid).children(recursive=True)
    for child in found:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait(10)
