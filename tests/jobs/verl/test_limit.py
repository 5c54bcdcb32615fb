from jobs.verl.limit import save_by


def test_at_least_a_minute_is_left() -> None:
    assert save_by(3600, None, None) == 3540
    assert save_by(3600, 5.0, 10.0) == 3540


def test_two_steps_and_two_saves_fit_in() -> None:
    assert save_by(3600, 100.0, 30.0) == 3600 - 260
