"""The checks of the documentation find what is planted: each gets a good page, then a bad one."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.docs import code, faults
from tests.docs.book import Page
from tests.docs.commands import Usage, calls, commands, known_commands
from tests.docs.variables import known_variables, variables

HERE = Path(__file__).resolve().parent
DOCS = code.ROOT / "docs"
USAGES = {
    "submit": Usage(
        (frozenset({"--set"}), frozenset({"-w", "--wait"}), frozenset({"--json"})), frozenset()
    ),
    "sets import": Usage((frozenset({"--json"}),), frozenset()),
    "machine": Usage((frozenset({"--json"}),), frozenset({"add", "list"})),
    "watch": Usage((), frozenset()),
}
COMMANDS = """
All take `--json`, except for `watch`.

- `submit [--set k=v]… [-w]` submits.
- `sets import FILE` imports.
- `machine add` keeps one.
- `machine list` lists them.
- `watch` follows.
"""
SETTINGS = """
| variable | default | meaning |
| --- | --- | --- |
| `HOME` | `var/` | all state |
| `KEY` | a file | signs |
"""
VARIABLES = {"HOME": "var/", "KEY": ""}


def page(text: str, name: str = "planted.md") -> Page:
    return Page(HERE / name, text)


def told(found: Iterable[str]) -> str:
    return "\n".join(found)


def test_a_complete_page_has_no_fault() -> None:
    assert told(commands(page(COMMANDS), USAGES)) == ""
    assert told(variables(page(SETTINGS), VARIABLES)) == ""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("- `watch` follows.\n", "", "The command 'watch' is missing."),
        ("- `sets import FILE` imports.\n", "", "The command 'sets import' is missing."),
        ("`sets import FILE`", "`sets export FILE`", "There is no command 'sets'"),
        ("[--set k=v]… ", "", "The command 'submit' has --set, which is missing."),
        ("[-w]", "", "The command 'submit' has --wait/-w, which is missing."),
        ("[-w]", "[-w] [--fast]", "The command 'submit' has no --fast."),
        ("`machine list`", "`machine add`", "The command 'machine' takes 'list', which is missing"),
        ("- `watch`", "- `launch ID` starts.\n- `watch`", "There is no command 'launch'"),
        (", except for `watch`", "", "Whether 'watch' takes --json is said wrongly."),
        ("`watch`.", "`submit`.", "Whether 'submit' takes --json is said wrongly."),
    ],
)
def test_a_fault_in_the_commands_is_found(old: str, new: str, says: str) -> None:
    assert old in COMMANDS
    assert says in told(commands(page(COMMANDS.replace(old, new, 1)), USAGES))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("| `HOME` | `var/` | all state |\n", "", "The variable 'HOME' is missing."),
        ("`HOME`", "`HOUSE`", "There is no variable 'HOUSE'."),
        ("`var/`", "`/srv`", "The default of HOME is 'var/', not '`/srv`'."),
        ("a file", "`abc`", "The default of KEY is 'nothing'"),
    ],
)
def test_a_fault_in_the_settings_is_found(old: str, new: str, says: str) -> None:
    assert says in told(variables(page(SETTINGS.replace(old, new, 1)), VARIABLES))


def test_a_missing_and_an_invented_address_are_found() -> None:
    said = page("| address | shows |\n| --- | --- |\n| `/a/`, `/b/` | both |\n").column("address")
    assert said == ["/a/", "/b/"]
    assert told(code.lists("address", said, {"/a/", "/c/"})) == (
        "The address '/c/' is missing.\nThere is no address '/b/'."
    )


def test_what_the_code_has_is_not_nothing() -> None:
    """Else every page would be complete."""
    assert {"submit", "dataset import", "machine"} <= known_commands().keys()
    assert known_variables()["TRAINYARD_STOP_GRACE"] == "20"
    assert {"HF_HOME", "DATABASE_URL", "TRAINYARD_SECRET_KEYS"} <= known_variables().keys()
    assert {"/", "/jobs/<id>/", "/admin/", "/ws/jobs/<id>/"} <= code.urls()
    assert {"sft", "grpo"} <= code.kinds()
    assert {"run", "test"} <= code.targets()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gone](nowhere.md)", "nowhere.md leads nowhere."),
        ("[part](#no-such-part)\n\n# Another part", "#no-such-part: there is no such heading."),
        ("[fine](code.py), [too](#a-part), [so](https://example.org/x)\n\n# A part", ""),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text: str, says: str) -> None:
    assert told(faults.links(page(text))) == says


def test_a_function_that_is_not_there_is_found() -> None:
    assert told(faults.functions(page("[`Page.read()`](book.py), [`slug()`](book.py)"))) == ""
    assert told(faults.functions(page("[`launch()`](book.py)"))) == "book.py defines no launch()."


@pytest.mark.parametrize(
    ("span", "says"),
    [
        ("tests/docs/book.py", ""),
        ("tests/docs/", ""),
        ("tests/*/book.py", ""),
        ("run.sh", ""),
        ("tests/docs/gone.py", "There is no tests/docs/gone.py."),
        ("tests/docs/book.py/", "There is no tests/docs/book.py/."),
        ("gone/", "There is no gone/."),
        ("book.py", "There is no book.py."),
    ],
)
def test_a_path_that_is_not_there_is_found(span: str, says: str) -> None:
    assert told(faults.paths(page(f"See `{span}`."))) == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Type `manage.py submit --wait`.", ""),
        ("Type `.venv/bin/python manage.py sumbit`.", "There is no command in manage.py sumbit"),
        ("Type:\n\n    .venv/bin/python manage.py submit --now", "has no --now."),
        ("```\nmake tea\n```", "There is no make tea."),
        ("Type `python -m tests.nothing`.", "There is no module tests.nothing."),
    ],
)
def test_a_call_that_cannot_be_made_is_found(text: str, says: str) -> None:
    found = told(calls(page(text), USAGES, {"run"}))
    assert found.endswith(says)
    assert bool(found) == bool(says)


def test_a_page_of_more_than_two_screens_is_found() -> None:
    assert told(faults.length(page("line\n" * 80))) == ""
    assert told(faults.length(page("line\n" * 81))) == "It has 81 lines: more than 2 screens."
    assert told(faults.length(page("x" * 9000))) == "It has 82 lines: more than 2 screens."


def test_a_step_without_a_function_is_found() -> None:
    good = "1. The form is read by\n   [`launch()`](x.py).\n2. [`run()`](x.py) runs it.\n"
    assert told(faults.steps(page(good))) == ""
    assert "3. Magic." in told(faults.steps(page(f"{good}3. Magic.\n")))


def test_blocks_of_code_are_no_prose() -> None:
    both = page("Text `a`.\n\n    make run\n\nMore.\n\n```\nmake test\n```\n")
    assert (both.spans, both.shell) == (["a"], ["make run", "make test"])


def without_each(name: str, begins: str) -> Iterator[Page]:
    """A page of the documentation as often as it has such lines, each time without one of them."""
    lines = Page.read(DOCS / name).prose
    for number, line in enumerate(lines):
        if line.startswith(begins):
            yield page("\n\n".join([*lines[:number], *lines[number + 1 :]]))


def test_no_line_of_the_lists_can_be_left_out() -> None:
    known, read, addresses = known_commands(), known_variables(), code.urls()
    short = [*without_each("commands.md", "- `")]
    assert len(short) > 40
    assert all(told(commands(each, known)) for each in short)
    assert all(told(variables(each, read)) for each in without_each("settings.md", "| `"))
    for each in without_each("pages.md", "| `/"):
        assert told(code.lists("address", each.column("address"), addresses))
