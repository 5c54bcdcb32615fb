"""Every event that our own code writes is of a kind that the registry knows."""

import ast
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.events import MACHINE, SET_UP_ENDED
from jobs import events
from jobs.models import Event, Status
from platform_site.events import EventKind, Severity, kind_of, kinds_of, register
from platform_site.work.models import BUSY, State

ROOT = Path(__file__).resolve().parents[2]
APPS = ("compute", "jobs", "monitoring")
WRITERS = {"record", "record_once", "record_turn"}
ROWS = {"Event", "MachineEvent"}
# What turns a kind into a row: it is given the kind.
MAKE_ROWS = {"jobs/lifecycle.py", "compute/machines/history.py", "monitoring/watch/ingest.py"}


def sources() -> Iterator[tuple[str, str]]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()


def faults(name: str, source: str) -> Iterator[str]:
    """Where a kind is a text of its own, or a row is made past those who look after kinds."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        where = f"{name}:{node.lineno}"
        if called.rpartition(".")[2] in WRITERS and name not in MAKE_ROWS:
            kind = node.args[1] if len(node.args) > 1 else None
            if isinstance(kind, ast.Constant | ast.JoinedStr):
                yield f"{where} writes {ast.unparse(kind)}: name it in events.py"
        made = called.removesuffix(".objects.create")
        if made in ROWS and name not in MAKE_ROWS:
            yield f"{where} makes a row by itself: {called}"


def test_our_own_code_writes_kinds_of_the_registry_only() -> None:
    found = [fault for name, source in sources() for fault in faults(name, source)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "planted",
    [
        'lifecycle.record(job, "exploded", message="oh")',
        'lifecycle.record_once(job, f"{what} exploded", "oh", since=None)',
        'history.record(machine, "exploded")',
        'Event.objects.create(job=job, kind="exploded")',
    ],
)
def test_a_planted_kind_is_found(planted: str) -> None:
    assert len(list(faults("jobs/planted.py", planted))) == 1


def test_every_move_of_a_job_is_a_kind() -> None:
    assert set(events.MOVES) == set(Status.values) - {Status.DRAFT}


def test_every_kind_of_a_job_has_a_source_that_its_row_may_have() -> None:
    assert (events.PLATFORM, events.RUN) == (Event.Source.PLATFORM, Event.Source.RUN)


def test_every_end_of_a_set_up_is_a_kind() -> None:
    assert set(SET_UP_ENDED) == set(State.values) - set(BUSY)


def test_a_run_and_the_platform_have_the_same_names() -> None:
    node = runpy.run_path(str(ROOT / "environments/node/trainyard_node/events.py"))
    assert set(node["NAMES"]) == {kind.name for kind in kinds_of([events.RUN])}


def test_a_kind_is_registered_once() -> None:
    with pytest.raises(ValueError, match="is there already"):
        register(events.STALLED, events.PLATFORM, Severity.INFO, "Again")


def test_a_kind_that_nobody_knows_is_shown_as_it_is() -> None:
    assert kind_of("brewing", events.RUN) == EventKind(
        "brewing", events.RUN, Severity.INFO, "brewing", is_known=False
    )
    assert not kind_of(events.STALLED, events.RUN).is_known, "a run may not speak for the platform"


def test_words_are_a_short_line_and_told_apart() -> None:
    writers = (events.PLATFORM, events.RUN, MACHINE)
    kinds = kinds_of(writers)
    assert all(kind.words[0].isupper() and len(kind.words) <= 45 for kind in kinds)
    for writer in writers:
        words = [kind.words for kind in kinds_of([writer])]
        assert len(set(words)) == len(words)
