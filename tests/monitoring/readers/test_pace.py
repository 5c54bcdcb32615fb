import pytest

from monitoring.readers.pace import is_stalled, remember, step_time

STEADY = [[step, 100.0 + 20 * step] for step in range(1, 8)]


def test_the_last_thirty_are_remembered() -> None:
    seen: list[list[float]] = []
    for step in range(1, 41):
        seen = remember(seen, step, float(step))
    assert (len(seen), seen[0], seen[-1]) == (30, [11, 11.0], [40, 40.0])


def test_a_run_that_went_back_begins_anew() -> None:
    assert remember(STEADY, 5, 999.0) == [[5, 999.0]]


def test_the_median_is_not_moved_by_one_long_step() -> None:
    assert step_time(STEADY) == 20.0
    assert step_time(remember(STEADY, 8, STEADY[-1][1] + 600)) == 20.0
    assert (
        step_time([[1, 0.0], [3, 30.0], *([step, 15.0 * step - 15] for step in (4, 5, 6, 7))])
        == 15.0
    )


def test_too_few_steps_say_nothing() -> None:
    assert step_time([]) is None
    assert step_time(STEADY[:5]) is None
    assert not is_stalled(STEADY[:5], 1e9)


@pytest.mark.parametrize(("waited", "stalled"), [(59.0, False), (61.0, True)])
def test_three_times_the_median(waited: float, stalled: bool) -> None:
    assert is_stalled(STEADY, STEADY[-1][1] + waited) is stalled


def test_fast_steps_have_half_a_minute() -> None:
    fast = [[step, step * 0.1] for step in range(10)]
    assert not is_stalled(fast, 29.0)
    assert is_stalled(fast, 31.0)
