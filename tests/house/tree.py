"""The rooms of the house, read from the tree: which folders are Django's and which are pure."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# From the top down; a lower app knows nothing of a higher one.
APPS = ("monitoring", "evaluations", "surgery", "jobs", "datasets", "compute", "platform_site")
DJANGOS_OWN = {"migrations", "management", "commands", "models", "templatetags"}


def packages(root: Path = ROOT) -> Iterator[str]:
    """Every package of the apps, as a dotted name."""
    for app in APPS:
        for init in sorted(root.joinpath(app).rglob("__init__.py")):
            yield ".".join(init.parent.relative_to(root).parts)


def is_django(package: str, root: Path = ROOT) -> bool:
    parts = package.split(".")
    return bool(DJANGOS_OWN & set(parts)) or root.joinpath(*parts, "apps.py").exists()


def pure_folders(root: Path = ROOT) -> list[str]:
    """The outermost folders without ``apps.py``: everything in them is pure, too."""
    pure: list[str] = []
    for package in packages(root):
        inside = any(package.startswith(f"{outer}.") for outer in pure)
        if not inside and not is_django(package, root):
            pure.append(package)
    return pure


def contract(name: str) -> dict[str, Any]:
    """An import contract of ``pyproject.toml`` by its name."""
    settings = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return next(each for each in contracts if each["name"] == name)


def modules(app: str) -> Iterator[Path]:
    """The Python files of an app, without its migrations."""
    for path in sorted(ROOT.joinpath(app).rglob("*.py")):
        if "migrations" not in path.parts:
            yield path
