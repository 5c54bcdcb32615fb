import pytest

from jobs.verl.startup import PHASES, phases_of
from monitoring.timing.startup import startup, took

SFT = PHASES["sft"]
TOLD = {"processes": 110.0, "model": 125.0, "update": 130.0}
LAST = {"processes": 8.0, "model": 20.0, "update": 4.0}


def states(told: dict[str, float], *, goes_on: bool = True) -> list[tuple[str, str]]:
    found = startup(SFT, 100.0, told, LAST, goes_on=goes_on)
    return [(line.phase.name, line.state) for line in found.lines]


def test_each_phase_took_the_time_since_the_one_before() -> None:
    assert took(SFT, 100.0, TOLD) == {"processes": 10.0, "model": 15.0, "update": 5.0}
    assert startup(SFT, 100.0, TOLD, {}, goes_on=True).is_over


def test_one_goes_on_and_the_rest_waits() -> None:
    told = {"processes": 110.0}
    found = startup(SFT, 100.0, told, LAST, goes_on=True)

    assert states(told) == [("processes", "done"), ("model", "now"), ("update", "waits")]
    assert (found.took, found.is_over) == (10.0, False)
    assert [line.since for line in found.lines] == [None, 110.0, None]
    assert states({}) == [("processes", "now"), ("model", "waits"), ("update", "waits")]


def test_what_ended_in_its_start_has_nothing_that_goes_on() -> None:
    assert states({"processes": 110.0}, goes_on=False)[1:] == [
        ("model", "waits"),
        ("update", "waits"),
    ]


def test_a_phase_that_the_run_does_not_have_is_left_out() -> None:
    assert states({"processes": 110.0, "update": 130.0}) == [
        ("processes", "done"),
        ("update", "done"),
    ]


@pytest.mark.parametrize(("value", "has"), [(True, True), (False, False), (None, False)])
def test_a_validation_is_awaited_where_it_is_asked_for(value: object, has: bool) -> None:
    names = [each.name for each in phases_of("grpo", "0.9.1", {"val_before_train": value})]

    assert ("validation" in names) is has
    assert names[-1] == "update"


def test_releases_that_cannot_tell_have_none() -> None:
    assert phases_of("grpo", "0.8.0", {}) == ()
