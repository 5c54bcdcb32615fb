"""What the code has that the documentation must name: derived from the code, never listed here."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from django.apps import apps
from django.urls import URLPattern, URLResolver, get_resolver

ROOT = Path(__file__).resolve().parents[2]
DJANGOS_OWN = {"management", "migrations", "models", "templatetags"}
KIND = {True: "app", False: "pure"}
FRAMES = ("admin",)  # Django's own pages below one address


def lists(what: str, said: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """What is missing, and what is not there."""
    said, known = set(said), set(known)
    yield from (f"The {what} {name!r} is missing." for name in sorted(known - said))
    yield from (f"There is no {what} {name!r}." for name in sorted(said - known))


def sources() -> Iterator[Path]:
    """The platform's own Python, without tests and without what runs beside verl."""
    for folder in sorted(ROOT.iterdir()):
        if (folder / "__init__.py").is_file() and folder.name != "tests":
            yield from sorted(folder.rglob("*.py"))


@cache
def urls() -> set[str]:
    """Every address that the site answers to, with ``<id>`` and its like for what varies."""
    from monitoring.page.routing import urlpatterns

    pages = set(_addresses(get_resolver(), "/"))
    return pages | {readable(f"/{pattern.pattern}") for pattern in urlpatterns}


def _addresses(resolver: URLResolver, before: str) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        address = f"{before}{pattern.pattern}"
        if isinstance(pattern, URLPattern):
            yield readable(address)
        elif pattern.namespace in FRAMES:
            yield address
        else:
            yield from _addresses(pattern, address)


def readable(address: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", address).replace("<pk>", "<id>")


def rooms() -> dict[str, str]:
    """Every folder of the platform's Python with what it is: a Django app, or pure."""
    installed = {Path(config.path) for config in apps.get_app_configs()}
    folders = {file.parent for file in sources()}
    own = (folder for folder in folders if not DJANGOS_OWN & set(folder.parts))
    return {f"{each.relative_to(ROOT)}/": KIND[each in installed] for each in own}


def folders_of_tests() -> set[str]:
    found = (ROOT / "tests").glob("*/*.py")
    return {f"tests/{file.parent.name}/" for file in found}


def kinds() -> set[str]:
    """The kinds that a job may be of."""
    from jobs.kinds.registry import registry

    return set(registry().kinds)


def machine_kinds() -> set[str]:
    from compute.models import Machine

    return set(Machine.Kind.values)


def targets() -> set[str]:
    """What ``make`` can be asked for."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def defined(path: Path) -> set[str]:
    """The functions and classes of a module, and the methods as ``Class.method``."""
    found = set[str]()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inside = (one for one in node.body if hasattr(one, "name"))
            found |= {f"{node.name}.{one.name}" for one in inside}
    return found
