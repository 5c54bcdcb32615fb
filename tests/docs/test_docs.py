"""The documentation is complete and true: what it lists is what the code has.

What is missing is told in sentences; the remedy is a line in the page that the test names. That the
checks find faults is shown in ``test_faults``.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest
from django.urls import resolve

from datasets.formats.codes import CODES
from datasets.formats.columns import SHAPES
from tests.bench.__main__ import WHAT
from tests.docs import code, faults
from tests.docs.book import SPAN, Page
from tests.docs.commands import calls, commands, known_commands
from tests.docs.variables import known_variables, variables
from tests.e2e.test_first_start import PAGES

DOCS = code.ROOT / "docs"
README = code.ROOT / "README.md"
# Pages that the samples of a first start have nothing for: a recipe of one's own, a source that was
# imported, rows that were left out, a host key. Other tests of the browser, or of the views, do.
NEEDS_MORE = {
    "/jobs/recipes/<slug>/delete/",
    "/datasets/<id>/sources/<source>/map/",
    "/datasets/<id>/versions/<number>/removed/",
    "/jobs/<id>/proposal/",  # the measured figures of a dry-fire on a GPU
    "/machines/<id>/key/",
    "/jobs/imports/<id>/",
    "/evaluations/compare/",  # two evaluations
    "/surgery/comparison/<id>/",  # what a comparison found
    "/surgery/sweeps/<id>/",
    "/evaluations/chains/<id>/",
    "/evaluations/gates/<id>/",
    "/evaluations/chains/recipes/<id>/",
}
EVERY = [
    README,
    code.ROOT / "CONTRIBUTING.md",
    code.ROOT / "environments/node/README.md",
    *sorted(DOCS.glob("*.md")),
]


def agrees(found: Iterable[str]) -> None:
    """All that is wrong at once, however much it is."""
    faults_found = list(found)
    assert not faults_found, "\n".join(["", *faults_found])


def page(name: str) -> Page:
    return Page.read(DOCS / name)


def test_every_command_and_option_is_in_commands() -> None:
    agrees(commands(page("commands.md"), known_commands()))


def test_every_variable_is_in_settings_with_its_default() -> None:
    agrees(variables(page("settings.md"), known_variables()))


def test_every_address_is_in_pages() -> None:
    said = [span for span in page("pages.md").column("address") if span.startswith("/")]
    agrees(code.lists("address", said, code.urls()))


def test_a_browser_looks_at_every_page() -> None:
    said = page("pages.md").column("address", "shows")
    routes = {resolve(path.split("?")[0]).route for path in PAGES}
    visited = {code.readable(f"/{route}") for route in routes if "admin/" not in route[:-1]}
    agrees(code.lists("page among PAGES", visited, set(said) - NEEDS_MORE))


def test_every_kind_of_job_is_in_algorithms() -> None:
    said = page("algorithms.md").column("kind")
    agrees(code.lists("kind", said, code.kinds()))


def test_every_kind_of_machine_is_in_machines() -> None:
    said = page("machines.md").column("kind")
    agrees(code.lists("kind of machine", said, code.machine_kinds()))


def test_every_shape_and_fault_is_in_data() -> None:
    data = page("data.md")
    agrees(code.lists("shape", data.column("shape"), SHAPES))
    codes = [span for cells in data.tables("found") for span in SPAN.findall(cells[1])]
    agrees(code.lists("code", codes, CODES))


def test_every_room_is_in_the_architecture_with_what_it_is() -> None:
    rows = page("architecture.md").tables("room")
    said = [f"{room} {cells[1]}" for cells in rows for room in SPAN.findall(cells[0])]
    known = [f"{room} {what}" for room, what in code.rooms().items()]
    agrees(code.lists("room", said, known))


def test_every_folder_of_tests_is_in_the_architecture() -> None:
    said = {span for span in page("architecture.md").column("where") if span.count("/") == 2}
    agrees(code.lists("folder of tests", said, code.folders_of_tests()))


def test_every_measure_is_in_bench() -> None:
    agrees(code.lists("measure", page("bench.md").column("measure"), WHAT))


def test_each_step_of_a_run_names_its_function() -> None:
    life = page("life-of-a-run.md")
    agrees(faults.steps(life))
    assert len([link for link in life.links if faults.FUNCTION.fullmatch(link.label)]) > 20


@pytest.mark.parametrize("path", EVERY, ids=lambda path: str(path.relative_to(code.ROOT)))
def test_what_a_page_names_is_there(path: Path) -> None:
    each, known = Page.read(path), known_commands()
    agrees(faults.links(each))
    agrees(faults.functions(each))
    agrees(faults.paths(each))
    agrees(calls(each, known, code.targets()))


def test_the_readme_is_two_screens_and_leads_to_every_page() -> None:
    readme = Page.read(README)
    agrees(faults.length(readme))
    led = {link.target for link in readme.links}
    assert led >= {f"docs/{path.name}" for path in DOCS.glob("*.md")}
