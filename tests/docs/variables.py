"""The variables of the environment, as the code reads them and as the documentation lists them."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from platform_site import settings
from tests.docs.book import SPAN, Page
from tests.docs.code import ROOT, lists, sources

READERS = ("env", "Env()")
MAY_READ = re.compile(r"environ|Env\b|getenv")  # else a module need not be looked at
GIB = 1024**3


@cache
def known_variables() -> dict[str, str | None]:
    """The variables of the environment that the platform reads, each with its default as a reader
    would write it.

    None for those that are read elsewhere than in the settings, where only the name is compared.
    """
    found: dict[str, str | None] = {}
    for text in filter(MAY_READ.search, (path.read_text() for path in sources())):
        tree = ast.parse(text)
        constants = dict(_constants(tree))
        found |= {name: None for call in _reads(tree) for name in _named(call, constants)}
    tree = ast.parse(Path(settings.__file__).read_text())
    return found | {name: default for call in _reads(tree) for name, default in _default(call)}


def _reads(tree: ast.AST) -> Iterator[ast.Call]:
    """``os.environ.get(…)``, ``env.int(…)``, ``Env().list(…)`` and their like."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            whose = ast.unparse(node.func.value)
            if whose in READERS or ast.unparse(node.func) in ("os.environ.get", "os.getenv"):
                yield node


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The module's names for texts."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            yield ast.unparse(node.targets[0]), str(node.value.value)


def _named(call: ast.Call, constants: Mapping[str, str]) -> Iterator[str]:
    first = call.args[0]
    if isinstance(first, ast.Constant):
        yield str(first.value)
    elif isinstance(first, ast.Name) and first.id in constants:
        yield constants[first.id]


def _default(call: ast.Call) -> Iterator[tuple[str, str]]:
    if len(call.args) > 1:
        code = compile(ast.Expression(call.args[1]), settings.__file__, "eval")
        value = eval(code, vars(settings))  # noqa: S307  what stands in the settings
        yield ast.literal_eval(call.args[0]), written(value)


def written(value: Any) -> str:
    """A default as the documentation writes it; empty where there is none that can be written."""
    if isinstance(value, list):
        return ",".join(map(written, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value and value % GIB == 0:
        return f"{value // GIB} GiB"
    if value == str(settings.TRAINYARD_HOME):
        return "the home"
    if value == str(Path.home()):
        return "your home folder"
    if isinstance(value, Path) and value.is_relative_to(ROOT):
        path = value.relative_to(ROOT)
        return str(path) if path.suffix or "bin" in path.parts else f"{path}/"
    return str(value)


def variables(page: Page, known: Mapping[str, str | None]) -> Iterator[str]:
    """Compare the table of variables, with their defaults."""
    rows = page.tables("variable")
    said = {name: cells[1] for cells in rows for name in SPAN.findall(cells[0])}
    yield from lists("variable", said, known)
    for name in known.keys() & said.keys():
        default, told = known[name], said[name]
        wrong = "`" in told if not default else told.replace("`", "") != default
        if default is not None and wrong:
            yield f"The default of {name} is {default or 'nothing'!r}, not {told!r}."
