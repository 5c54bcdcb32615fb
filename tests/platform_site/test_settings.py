"""Settings are read when a process starts, so each case is a process of its own."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def python(code: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": os.environ["PATH"], "HOME": str(home), "TRAINYARD_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**given, **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def show(name: str, home: Path, **env: str) -> str:
    done = python(f"from platform_site import settings; print(settings.{name})", home, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SETUP = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "platform_site.settings"
django.setup()
"""


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("TRAINYARD_DEBUG", "perhaps"),
        ("TRAINYARD_HTTPS", "perhaps"),
        ("TRAINYARD_STOP_GRACE", "soon"),
        ("TRAINYARD_STOP_GRACE", "-1"),
        ("TRAINYARD_LOG_LEVEL", "LOUD"),
        ("TRAINYARD_TIME_ZONE", "Mars/Base"),
        ("TRAINYARD_CURRENCY", "dollars"),
        ("TRAINYARD_CURRENCY", "usd"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "nosuchdb://127.0.0.1/x"),
        ("CHANNEL_REDIS_URL", "nonsense"),
        ("QUEUE_REDIS_URL", "http://127.0.0.1"),
        ("TRAINYARD_ORIGINS", "trainyard.example"),
        ("TRAINYARD_RUN_ENV", "AWS_*,two words"),
    ],
)
def test_junk_is_refused_by_the_variables_name(home: Path, name: str, junk: str) -> None:
    done = python(SETUP, home, **{name: junk})
    assert done.returncode != 0
    assert name in done.stderr.strip().splitlines()[-1]


def test_defaults(home: Path) -> None:
    assert show("DEBUG", home) == "False"
    assert show("ALLOWED_HOSTS", home) == "['127.0.0.1', 'localhost', '[::1]']"
    assert show("DATABASES['default']['NAME']", home) == str(home / "db.sqlite3")
    assert show("Q_CLUSTER['max_attempts']", home) == "1"
    assert show("Q_CLUSTER['timeout']", home) == "140"  # 120 and the grace of a stop
    assert show("Q_CLUSTER['retry']", home) == "320"


def test_postgresql_and_redis_by_the_environment_alone(home: Path) -> None:
    env = {
        "DATABASE_URL": "postgres://who@127.0.0.1:5432/name",
        "CHANNEL_REDIS_URL": "redis://127.0.0.1:6379/1",
        "QUEUE_REDIS_URL": "redis://127.0.0.1:6379/2",
    }
    assert show("DATABASES['default']['ENGINE']", home, **env) == "django.db.backends.postgresql"
    assert "channels_redis" in show("CHANNEL_LAYERS['default']['BACKEND']", home, **env)
    assert show("Q_CLUSTER['redis']", home, **env) == "redis://127.0.0.1:6379/2"


def test_several_folders(home: Path) -> None:
    found = show("TRAINYARD_PATHS", home, TRAINYARD_PATHS="/a:/b")
    assert found == "[PosixPath('/a'), PosixPath('/b')]"


def test_the_home_is_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "new/home"
    show("TRAINYARD_HOME", tmp_path, TRAINYARD_HOME=str(home))
    assert home.stat().st_mode & 0o777 == 0o700


def test_the_key_is_made_once_by_many_at_once(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = set(pool.map(lambda _: show("SECRET_KEY", home), range(4)))
    assert len(keys) == 1
    assert (home / "secret_key").read_text() == keys.pop()
    assert (home / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.iterdir() if path.is_file()] == ["secret_key"]


def test_a_key_of_ones_own(home: Path) -> None:
    assert show("SECRET_KEY", home, TRAINYARD_SECRET_KEY="mine") == "mine"
    assert not (home / "secret_key").exists()


def test_the_deployment_check_passes(home: Path) -> None:
    done = python(
        "from django.core.management import execute_from_command_line as run;"
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'platform_site.settings';"
        "run(['manage.py', 'check', '--deploy', '--fail-level', 'WARNING'])",
        home,
        TRAINYARD_HTTPS="1",
        TRAINYARD_ALLOWED_HOSTS="trainyard.example",
    )
    assert done.returncode == 0, done.stderr


def test_nothing_of_the_training_stack_is_loaded_at_the_start(home: Path) -> None:
    code = SETUP + (
        "import sys, platform_site.urls, platform_site.asgi;"
        "print([name for name in ('torch', 'verl', 'ray', 'transformers') if name in sys.modules])"
    )
    done = python(code, home)
    assert done.stdout.strip() == "[]"


def test_a_task_may_take_as_long_as_a_stop_waits(home: Path) -> None:
    limits = "Q_CLUSTER['timeout'], settings.Q_CLUSTER['retry']"
    timeout, retry = map(int, show(limits, home, TRAINYARD_STOP_GRACE="600").split())
    assert 600 + 60 < timeout < retry
