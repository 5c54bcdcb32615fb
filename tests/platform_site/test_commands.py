"""What commands say when they cannot do what was asked: for people, and with ``--json``."""

import fcntl
import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, get_commands, load_command_class

from platform_site.commands import JsonCommand, problems_of
from platform_site.home import is_up, lock_of
from tests import processes


def errors(*argv: str, env: dict[str, str]) -> list[dict[str, str]]:
    done = processes.run(*argv, "--json", env=env)
    assert done.returncode == 1, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)["errors"]
    return found


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    """A home without a database."""
    return processes.environment(home, DATABASE_URL=f"sqlite:///{home}/db.sqlite3")


def test_a_home_without_a_database_says_how_to_make_it(env: dict[str, str]) -> None:
    (found,) = errors("jobs", env=env)
    assert (found["code"], found["field"]) == ("refused", "")
    assert "run manage.py migrate, or start Trainyard by manage.py up." in found["message"]
    done = processes.run("jobs", env=env)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The database of this home is not made")


def test_a_command_line_that_is_none_is_json_too(env: dict[str, str]) -> None:
    (found,) = errors("submit", env=env)
    assert (found["code"], found["field"]) == ("usage", "recipe")
    assert "recipe" in found["message"]


@pytest.mark.django_db(transaction=True)
def test_each_field_that_is_wrong_is_named(home: Path, samples: Path, staff: object) -> None:
    env = processes.environment(home, TRAINYARD_PATHS=str(home))
    sets = ("--set", "lr=abc", "--set", "epochs=1.5")
    found = errors("submit", "sample-sft", *sets, env=env)
    assert {(each["field"], each["code"]) for each in found} == {
        ("lr", "invalid"), ("epochs", "invalid"),
    }  # fmt: skip
    (found_one,) = errors("submit", "none-such", env=env)
    assert (found_one["code"], found_one["field"]) == ("invalid", "recipe")


@pytest.mark.parametrize(
    ("argv", "field"),
    [
        (["submit", "none"], "recipe"),
        (["preview", "sample-sft", "--set", "lr"], "set"),
        (["submit", "sample-sft", "--user", "nobody"], "user"),
        (["clone", "9"], "id"),
        (["edit", "9"], "id"),
        (["resume", "9"], "id"),
        (["priority", "9", "low"], "id"),
        (["compare", "9"], "id"),
        (["export", "9"], "id"),
        (["recipe", "save", "x"], "what"),
        (["recipe", "rename", "my-none", "--title", "x"], "what"),
        (["recipe", "import", "/nowhere.toml"], "what"),
        (["queue", "--machine", "none"], "machine"),
        (["machine", "show", "none"], "name"),
        (["machine", "add", "x", "--host", "a b", "--user", "u"], "host"),
        (["machine", "add", "x", "--ray", "x", "--workdir", "w"], "ray_address"),
        (["dataset", "check", "none"], "name"),
        (["dataset", "clean", "none", "--drop", "nothing"], "drop"),
        (["recipes", "--dataset", "none"], "dataset"),
        (["artifacts", "pin", "9"], "id"),
        (["lineage", "x"], "of"),
        (["tracker", "set", "wandb", "NOTHING"], "variable"),
        (["tracker", "set"], "tracker"),
        (["reward", "try", "/nowhere.py", "--answer", "x"], "path"),
        (["submit"], "recipe"),
        (["job", "x"], "id"),
        (["jobs", "--limit", "x"], "limit"),
        (["dataset", "check", "none", "--max-length", "x"], "max_length"),
    ],
)
def test_an_error_names_the_argument_that_is_wrong(
    samples: Path, staff: User, argv: list[str], field: str
) -> None:
    name, *rest = argv
    command = load_command_class(get_commands()[name], name)
    assert isinstance(command, JsonCommand)
    with pytest.raises(CommandError) as caught:
        command._run(["manage.py", name, *rest, "--json"])
    assert field in {problem["field"] for problem in problems_of(caught.value)}


def test_the_lock_says_whether_the_platform_runs(home: Path) -> None:
    assert not is_up(home)
    with lock_of(home).open("w") as lock:
        assert not is_up(home)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_up(home)
    assert not is_up(home)
