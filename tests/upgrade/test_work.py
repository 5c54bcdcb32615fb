"""Long work of each kind is found in the one base, where it stood before."""

from typing import Any

import pytest

from compute.models import SetUp
from datasets.models import Report, Source, Version
from jobs.models import Fetch, Removal
from platform_site.work import verbs
from platform_site.work.models import State, Work
from tests.upgrade.former_work import ASKED, BEAT, ENDED

pytestmark = [
    pytest.mark.backends,
    pytest.mark.xdist_group("upgrade"),
    pytest.mark.usefixtures("upgraded", "db"),
]


def kept(work: Work, *fields: str) -> tuple[Any, ...]:
    return tuple(getattr(work, field) for field in fields)


TIMES = ("asked_at", "beat_at", "cancel_asked_at", "ended_at")


@pytest.mark.parametrize(
    ("name", "stands", "times"),
    [
        ("ready", (State.DONE, 9, 9, "", "ada"), (ASKED, BEAT, None, None)),
        ("cancelled", (State.WORKING, 0, None, "", "ada"), (ASKED, BEAT, BEAT, None)),
        ("failed", (State.FAILED, 0, None, "No rows.", ""), (ASKED, ASKED, None, ENDED)),
        ("silent", (State.WAITING, 0, None, "", "ada"), (ASKED, ASKED, ASKED, None)),
    ],
)
def test_sources(name: str, stands: tuple[Any, ...], times: tuple[Any, ...]) -> None:
    source = Source.objects.get(name=name)
    assert kept(source, "state", "done", "total", "error", "who") == stands
    assert kept(source, *TIMES) == times


def test_versions_and_reports() -> None:
    version = Version.objects.get(dataset__name="work")
    assert kept(version, "state", "who", "rows_train") == (State.DONE, "ada", 4)
    assert kept(version, *TIMES) == (ASKED, BEAT, None, ENDED)
    done, cancelled = Report.objects.order_by("pk")
    assert kept(done, "state", "who", "data") == (State.DONE, "ada", {"rows": 4})
    assert kept(done, *TIMES) == (ASKED, ASKED, None, None)
    assert kept(cancelled, "state", "who") == (State.CANCELLED, "")
    assert kept(cancelled, *TIMES) == (ASKED, BEAT, BEAT, None)


def test_set_ups() -> None:
    done, failed = SetUp.objects.order_by("pk")
    counts = ("done", "total", "who", "cancel_asked_at")
    assert kept(done, "state", "log", "asked_at", "beat_at", "ended_at") == (
        State.DONE, "Installed.", ASKED, BEAT, ENDED,
    )  # fmt: skip
    assert kept(failed, "state", "step", "error") == (
        State.FAILED, "Installing verl", "The disk is full.",
    )  # fmt: skip
    assert kept(done, *counts) == kept(failed, *counts) == (0, None, "", None)


def test_fetches() -> None:
    here, coming, unknown = Fetch.objects.order_by("step")
    assert kept(here, "state", "done", "total", "who") == (State.DONE, 7, 7, "ada")
    assert kept(here, "source", "target") == ("/far/3", "/here/3")
    assert kept(here, *TIMES) == (ASKED, BEAT, None, ENDED)
    assert kept(coming, "state", "percent", "is_silent") == (State.WORKING, 25, True)
    assert kept(unknown, "state", "error", "done", "total") == (
        State.CANCELLED, "Broken", 0, None,
    )  # fmt: skip
    assert unknown.cancel_asked_at == BEAT


@pytest.mark.parametrize(
    ("who", "state", "freed", "error", "ended_at"),
    [
        ("waiting", State.WAITING, None, "", None),
        ("working", State.WORKING, None, "", None),
        ("done", State.DONE, 20, "", ENDED),
        ("found gone", State.DONE, 0, "", ENDED),
        ("failed", State.FAILED, None, "No disk.", ENDED),
    ],
)
def test_removals(who: str, state: State, freed: int | None, error: str, ended_at: Any) -> None:
    removal = Removal.objects.get(who=who)
    assert kept(removal, "state", "freed", "error") == (state, freed, error)
    assert kept(removal, *TIMES) == (ASKED, BEAT, None, ended_at)
    assert removal.place.machine.name == "far"


@pytest.mark.parametrize("model", [Source, Fetch, Removal])
def test_what_went_on_then_can_be_asked_for_again(model: type[Work]) -> None:
    for work in model._default_manager.filter(state__in=(State.WAITING, State.WORKING)):
        assert work.is_silent
        assert verbs.renew(work)
        assert verbs.claim(work)
