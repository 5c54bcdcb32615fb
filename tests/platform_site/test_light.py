"""Commands and the starts of jobs are processes of their own: each imports what it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes

HEAVY = ("platform_site.urls", "httpx", "duckdb")  # together more than what a command needs
THEN = f"""
import sys
from django.core.management import execute_from_command_line
try:
    execute_from_command_line(["manage.py", *sys.argv[1:]])
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.django_db
@pytest.mark.parametrize("argv", [("launch", "1"), ("jobs", "--json")])
def test_it_imports_no_page(home: Path, argv: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", THEN, *argv],
        env=processes.environment(home), cwd=processes.ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
