"""Which tests start a real run, read from their text.

In tests/node a function that makes the script or the ``argv`` of a real trainer's command starts
a run. So does a function that calls it, or asks for a fixture that does. In tests/e2e a test that
waits for a job's status has a run, unless its machine has a fake trainer.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STARTS = {"script", "argv"}  # of a Command of tests/node/commands.py
WAITS = {"wait_for_status"}
FAKE = "FakeTrainer"


@dataclass
class Function:
    """``given`` are its parameters. ``uses`` are the names in its body, without the parameters that
    it does not call.
    """

    file: str
    name: str
    uses: set[str]
    given: set[str]
    is_fixture: bool
    is_fake: bool
    attributes: set[str] = field(default_factory=set)

    @property
    def nodeid(self) -> str:
        return f"{self.file}::{self.name}"

    @property
    def is_test(self) -> bool:
        return self.name.startswith("test_")


@dataclass(frozen=True)
class Start:
    """A place that starts a real run, and the tests that see it. The ledger names one of them."""

    where: str
    seen_by: frozenset[str]


def starts(root: Path = ROOT) -> Iterator[Start]:
    for folder, names in (("tests/node", STARTS), ("tests/e2e", WAITS)):
        yield from starts_in(functions_in(root, folder), names)


def tests_in(root: Path, path: str) -> set[str]:
    """The ids of the tests in a file, without parameters."""
    found = functions_of(root, root / path) if (root / path).is_file() else []
    return {function.nodeid for function in found if function.is_test}


def functions_in(root: Path, folder: str) -> list[Function]:
    files = sorted((root / folder).rglob("*.py"))
    return [function for file in files for function in functions_of(root, file)]


def functions_of(root: Path, path: Path) -> list[Function]:
    tree, file = ast.parse(path.read_text()), str(path.relative_to(root))
    return [read(file, node) for node in tree.body if isinstance(node, ast.FunctionDef)]


def read(file: str, node: ast.FunctionDef) -> Function:
    below = [each for statement in node.body for each in ast.walk(statement)]
    given = {each.arg for each in node.args.args}
    called = {ast.unparse(each.func) for each in below if isinstance(each, ast.Call)}
    names = [each for each in below if isinstance(each, ast.Name)]
    own = {each.id for each in names if isinstance(each.ctx, ast.Store)}
    return Function(
        file, node.name,
        uses=({each.id for each in names} - given | called) - own,
        given=given,
        is_fixture=any("fixture" in ast.unparse(each) for each in node.decorator_list),
        is_fake=FAKE in ast.unparse(node.args),
        attributes={each.attr for each in below if isinstance(each, ast.Attribute)},
    )  # fmt: skip


def starts_in(functions: list[Function], names: set[str]) -> Iterator[Start]:
    """Each test and fixture that starts a run itself, or through a function that it calls."""
    known = starters(functions, names)
    for function in functions:
        if starts_one(function, known, names) and not function.is_fake:
            if function.is_test:
                yield Start(function.nodeid, frozenset([function.nodeid]))
            elif function.is_fixture:
                yield Start(function.nodeid, frozenset(users(function, functions)))


def starters(functions: list[Function], names: set[str]) -> set[tuple[str, str]]:
    """(file, name) of what starts a run; those of a conftest.py are known everywhere."""
    known: set[tuple[str, str]] = set()
    while True:
        found = {(f.file, f.name) for f in functions if starts_one(f, known, names)}
        if found <= known:
            return known
        known |= found


def starts_one(function: Function, known: set[tuple[str, str]], names: set[str]) -> bool:
    """Whether its body starts a run. A function that is given a fixture's result starts none."""
    if names & function.attributes:
        return True
    return any(
        name in function.uses and name != function.name
        for file, name in known
        if file == function.file or file.endswith("/conftest.py")
    )


def users(fixture: Function, functions: list[Function]) -> set[str]:
    """The tests that are given what the fixture makes, also through other fixtures."""
    names = {fixture.name}
    while True:
        more = {f.name for f in functions if f.is_fixture and f.given & names} - names
        if not more:
            return {f.nodeid for f in functions if f.is_test and f.given & names}
        names |= more
