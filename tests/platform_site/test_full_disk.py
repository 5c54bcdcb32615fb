"""On a full disk an operator can still log in and stop jobs."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from platform_site import spare
from tests import processes

# The limit on the size of files stands for a full disk: no file grows beyond the largest.
FULL = """
import os, resource, sys
import django
django.setup()
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from platform_site.spare import keep_spare_pages
from tests import factories

call_command("migrate", verbosity=0)
ada = User.objects.create_user("ada", password="a long word")
job = factories.make_job(ada, status="queued", queued_at=timezone.now())
if sys.argv[1] == "spare":
    keep_spare_pages()
connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
size = os.path.getsize(connection.settings_dict["NAME"])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
for number in range(400):
    Session.objects.create(
        session_key=f"key{number}", session_data="x" * 4000, expire_date=timezone.now()
    )
page = Client(raise_request_exception=False, headers={"host": "127.0.0.1"})
login = page.post("/accounts/login/", {"username": "ada", "password": "a long word"})
page.post(f"/jobs/{job.pk}/stop/")
job.refresh_from_db()
assert os.path.getsize(connection.settings_dict["NAME"]) == size
print(login.status_code, job.status)
"""


def when_full(home: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    env = processes.environment(home) | {"DATABASE_URL": ""}
    return subprocess.run(
        [sys.executable, "-c", FULL, *argv],
        env=env, cwd=processes.ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_an_operator_logs_in_and_stops_a_job(home: Path) -> None:
    done = when_full(home, "spare")
    assert done.stdout.split() == ["302", "stopped"], done.stderr[-3000:]


def test_without_spare_pages_the_database_takes_nothing(home: Path) -> None:
    done = when_full(home, "none")
    assert done.returncode == 1
    assert "OperationalError" in done.stderr


@pytest.mark.django_db(transaction=True)
def test_pages_are_spared_once_and_again_after_they_were_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if connection.vendor != "sqlite":
        spare.keep_spare_pages()
        return
    for _ in range(2):  # other tests may have left free pages
        monkeypatch.setattr(spare, "SPARE", 2 * spare.spare_bytes() + 1024**2)
        spare.keep_spare_pages()
        found = spare.spare_bytes()
        assert spare.SPARE * 0.9 < found < spare.SPARE * 1.1
        spare.keep_spare_pages()
        assert spare.spare_bytes() == found


@pytest.mark.django_db(transaction=True)
def test_a_disk_that_is_nearly_full_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare, "SPARE", 1 << 60)
    before = spare.spare_bytes() if connection.vendor == "sqlite" else 0
    spare.keep_spare_pages()
    assert connection.vendor != "sqlite" or spare.spare_bytes() == before
