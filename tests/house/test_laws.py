"""The laws of the house. Each is broken on purpose in a copy, and the fault must be found."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import APPS, ROOT, contract, is_django, packages, pure_folders

PURE = "Folders without apps.py are pure"
# The deepest module of each room may not know what is above it.
UPWARD = {
    "platform_site/work/planted.py": "import jobs.models",
    "compute/runners/far/planted.py": "import jobs.models",
    "compute/setup/planted.py": "import compute.pages.views",
    "compute/machines/planted.py": "import compute.checks.checking",
    "compute/checks/planted.py": "import jobs.work",
    "datasets/formats/planted.py": "import compute.models",
    "datasets/mapping/planted.py": "import datasets.urls",
    "jobs/verl/planted.py": "import monitoring.models",
    "jobs/queue/line/planted.py": "import jobs.queue.claims",
    "jobs/files/planted.py": "import jobs.launch.start",
    "jobs/launch/planted.py": "import jobs.order.forms",
    "jobs/recipebook/planted.py": "import jobs.order.forms",
    "jobs/trackers/planted.py": "import jobs.run.views",
    "surgery/recipes/planted.py": "import surgery.compose.services",
    "surgery/compose/planted.py": "import evaluations.kinds.all",
    "evaluations/kinds/planted.py": "import monitoring.models",
    "monitoring/page/planted.py": "import monitoring.watch.life",
    "monitoring/readers/planted.py": "import monitoring.models",
}
# This module does not import Django. It reaches Django through a module that its layer may import.
TWO_AWAY = {"jobs/verl/outwardly.py": "import datasets.services"}
NAMELESS = [f"{app}/nameless.py" for app in APPS]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the apps with their contracts, to plant faults in."""
    copy = tmp_path_factory.mktemp("house")
    for app in APPS:
        ignored = shutil.ignore_patterns("__pycache__", "*.toml")
        shutil.copytree(ROOT / app, copy / app, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def plant(house: Path, files: dict[str, str]) -> None:
    for name, line in files.items():
        house.joinpath(name).write_text(f"{line}\n")


def lint(house: Path) -> tuple[int, str]:
    """The exit code and the output of import-linter for a house."""
    argv = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    done = subprocess.run(argv, check=False, cwd=house, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def test_a_planted_import_is_found_in_each_room(house: Path) -> None:
    plant(house, UPWARD | TWO_AWAY | dict.fromkeys(NAMELESS, "import json"))
    code, output = lint(house)
    for name in (*UPWARD, *TWO_AWAY, *NAMELESS):
        house.joinpath(name).unlink()
    assert code == 1
    names = [name.removesuffix(".py").replace("/", ".") for name in (*UPWARD, *TWO_AWAY, *NAMELESS)]
    assert [name for name in names if name not in output] == []
    # A contract over direct imports alone would let the indirect chain pass.
    assert "jobs.verl.outwardly -> datasets.services" in output


def test_without_them_the_same_copy_passes(house: Path) -> None:
    code, output = lint(house)
    assert code == 0, output


def test_the_contract_names_each_pure_folder() -> None:
    assert sorted(contract(PURE)["source_modules"]) == sorted(pure_folders())
    assert not contract(PURE).get("allow_indirect_imports", False)


def test_a_new_folder_is_pure_until_it_is_an_app(tmp_path: Path) -> None:
    folders = ("jobs", "jobs/room", "jobs/room/deep", "jobs/pure", "jobs/pure/deep", "compute")
    for folder in folders:
        tmp_path.joinpath(folder).mkdir(parents=True)
        tmp_path.joinpath(folder, "__init__.py").touch()
    for folder in ("jobs", "jobs/room"):
        tmp_path.joinpath(folder, "apps.py").touch()
    assert pure_folders(tmp_path) == ["jobs.pure", "jobs.room.deep", "compute"]


def test_the_layers_leave_nobody_out() -> None:
    for app in APPS:
        layers = contract(f"Inside {app}")
        assert layers["containers"] == [app]
        assert layers["exhaustive"] is True
        assert set(layers["exhaustive_ignores"]) == {"apps", "migrations"}


def test_each_django_folder_is_an_installed_app() -> None:
    from django.apps import apps

    installed = {config.name for config in apps.get_app_configs()}
    folders = {name for name in packages() if ROOT.joinpath(*name.split("."), "apps.py").exists()}
    assert folders <= installed
    assert all(is_django(name) for name in folders)


def test_init_files_are_empty() -> None:
    inits = [ROOT.joinpath(*name.split("."), "__init__.py") for name in packages()]
    # Django finds the tables of an app in its `models`, whose `__init__` has to name them.
    filled = [init for init in inits if init.stat().st_size and init.parent.name != "models"]
    assert filled == []
