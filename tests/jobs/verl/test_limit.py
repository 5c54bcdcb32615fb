import pytest

from jobs.verl.limit import rental_margin, rental_now, save_by


def test_at_least_a_minute_is_left() -> None:
    assert save_by(3600, None, None) == 3540
    assert save_by(3600, 5.0, 10.0) == 3540


def test_two_steps_and_two_saves_fit_in() -> None:
    assert save_by(3600, 100.0, 30.0) == 3600 - 260


def test_before_a_rental_ends_what_is_unknown_is_assumed_and_said() -> None:
    margin = rental_margin(None, None)
    assert margin.seconds == 300
    assert margin.words == "No step and no save of it was measured yet: 300 s are an estimate."
    assert rental_margin(10.0, None).words.startswith("No save of it was measured yet: 320 s are")
    assert rental_margin(10.0, None).seconds == 320
    measured = rental_margin(10.0, 100.0)
    assert measured.words == "220 s are needed, by its measured steps and saves."
    assert rental_margin(1.0, 1.0).seconds == 60


@pytest.mark.parametrize(
    ("theirs", "now"), [(1000.0, 1000.0), (1020.0, 1020.0), (980.0, 1000.0), (5000.0, 1000.0)]
)
def test_of_two_clocks_the_later_counts_unless_it_is_far_off(theirs: float, now: float) -> None:
    assert rental_now(1000.0, theirs) == now
