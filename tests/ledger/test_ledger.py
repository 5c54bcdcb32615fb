"""Real runs prove every verb of every kind of job, and the ledger names every real run."""

from pathlib import Path

import pytest

from jobs.kinds.registry import OWN
from tests.ledger import real_runs
from tests.ledger.book import FILE, Ledger, faults, read

SMALL = """
[verbs]
start = "ends"
pause = "leaves"
[one]
start = ["tests/node/test_it.py::test_it"]
pause = {none = "it is short"}
"""


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return read(FILE.read_text())


def test_no_cell_is_unproven(ledger: Ledger) -> None:
    assert list(faults(ledger, {kind.slug for kind in OWN})) == []


def test_each_test_that_it_names_is_there(ledger: Ledger) -> None:
    named = sorted(set(ledger.named()))
    files = {nodeid.partition("::")[0] for nodeid in named}
    there = {test for file in files for test in real_runs.tests_in(real_runs.ROOT, file)}
    assert [nodeid for nodeid in named if nodeid not in there] == []


def test_each_real_run_is_named(ledger: Ledger) -> None:
    named = set(ledger.named())
    found = list(real_runs.starts())
    assert len(found) > 20
    assert [start.where for start in found if not start.seen_by & named] == []


def test_what_is_tried_with_a_fake_trainer_is_no_proof(ledger: Ledger) -> None:
    real = {test for start in real_runs.starts() for test in start.seen_by}
    cells = ledger.cells.values()
    assert {proof for cell in cells for proof in cell.proofs} <= real
    assert {fake for cell in cells for fake in cell.fakes}.isdisjoint(real)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("", "two: it is not in the ledger"),
        ("[two]", "two, start: nothing says which run proves that it ends"),
        ('[two]\nrest = {like = "two", why = "x"}', "two, start: two does not prove it either"),
        ('[two]\nrest = {like = "six", why = "x"}', "two, start: six does not prove it either"),
        ('[two]\nrest = {none = "x"}\n[six]\nrest = {none = "x"}', "six: no such kind"),
    ],
)
def test_what_is_missing_is_a_fault(more: str, fault: str) -> None:
    assert next(faults(read(SMALL + more), {"one", "two"})) == fault


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("start = []", "is no cell"),
        ('start = {fake = ["a"]}', "is no cell"),
        ('start = {none = ""}', "say why"),
        ('dance = {none = "x"}', "two: no verb dance"),
    ],
)
def test_a_cell_in_no_known_form_is_refused(row: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(f"{SMALL}[two]\n{row}")


NODE = {
    "conftest.py": """
def train(root, command):
    (root / "run.sh").write_text(command.script(root))

@pytest.fixture(scope="session")
def shared(tmp_path):
    return train(tmp_path, 1)

@pytest.fixture
def leg(tmp_path):
    def start(*more):
        return train(tmp_path, more)
    return start
""",
    "test_it.py": """
@pytest.fixture
def legs(leg):
    return leg(1), leg(2)

def test_sees(legs, shared):
    assert legs

def test_starts(leg):
    leg(3)

def test_looks(shared):
    train = shared
    assert train
""",
}


def test_who_starts_a_run_is_found_through_helpers_and_fixtures(tmp_path: Path) -> None:
    folder = tmp_path / "tests/node"
    folder.mkdir(parents=True)
    for name, text in NODE.items():
        (folder / name).write_text(text)
    sees, starts, looks = (f"tests/node/test_it.py::test_{n}" for n in ("sees", "starts", "looks"))
    assert {start.where: start.seen_by for start in real_runs.starts(tmp_path)} == {
        "tests/node/conftest.py::shared": {sees, looks},
        "tests/node/conftest.py::leg": {sees, starts},
        "tests/node/test_it.py::legs": {sees},
        starts: {starts},
    }


def test_in_the_browser_who_waits_for_a_job_has_a_run_unless_its_trainer_is_a_fake(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "tests/e2e"
    folder.mkdir(parents=True)
    waits = "    site.wait_for_status(1)\n"
    text = f"def test_real(site):\n{waits}def test_fake(site, trainer: FakeTrainer):\n{waits}"
    (folder / "test_it.py").write_text(text)
    assert [start.where for start in real_runs.starts(tmp_path)] == [
        "tests/e2e/test_it.py::test_real"
    ]
