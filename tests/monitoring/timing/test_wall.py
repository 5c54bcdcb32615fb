"""Where the wall time of a job went. Seconds are small and round, to be added by hand."""

import numpy as np
import pytest

from monitoring.series.column import Column
from monitoring.timing.wall import Move, Saved, Told, ran_until, wall


def column(values: dict[int, float]) -> Column:
    return Column(np.array(list(values), np.int64), np.array(list(values.values()), np.float64))


def moves(*told: tuple[str, float, int]) -> list[Move]:
    return [Move(*each) for each in told]


ONE = moves(("queued", 0, 1), ("starting", 10, 1), ("running", 12, 1), ("completed", 100, 1))
STEPS = Told(
    written=column({1: 40.0, 2: 60.0, 3: 90.0}),
    durations=column({1: 10.0, 2: 20.0, 3: 20.0}),
    validation=column({3: 8.0}),
    saves=column({2: 3.0}),
)


def test_one_attempt_from_the_queue_to_its_end() -> None:
    found = wall(ONE, STEPS, now=1000.0)

    assert found.seconds == {
        "training": 90 - 30 - 8 - 3,
        "validation": 8,
        "checkpoints": 3,
        "start-up": 30 - 12,
        "ending": 10,
        "start": 2,
        "queue": 10,
    }
    assert (found.total, found.held) == (100, 88)
    assert found.ratio == pytest.approx(0.49)
    assert found.held_ratio == pytest.approx(49 / 88)


def test_a_run_that_goes_on_trains_until_now() -> None:
    found = wall(ONE[:-1], STEPS, now=95.0)

    assert found.seconds["training"] == 95 - 30 - 8 - 3
    assert "ending" not in found.seconds


def test_before_the_first_step_all_is_start_up() -> None:
    assert wall(ONE[:-1], Told(), now=50.0).seconds == {"start-up": 38, "start": 2, "queue": 10}


def test_work_after_the_checkpoint_that_the_next_attempt_went_on_from_is_lost() -> None:
    again = moves(
        ("queued", 0, 1), ("running", 10, 1), ("failed", 100, 1),
        ("queued", 130, 2), ("running", 140, 2), ("completed", 240, 2),
    )  # fmt: skip
    told = Told(
        written=column({1: 30.0, 2: 50.0, 3: 180.0, 4: 240.0}),  # 3 of the first was rewound
        durations=column({1: 15.0, 2: 20.0, 3: 20.0, 4: 60.0}),
        checkpoints=[Saved(2, 55.0)],
        resumed={2: 2},
    )
    found = wall(again, told, now=999.0)

    assert found.seconds == {
        "training": (50 - 15) + (240 - 160),
        "start-up": (15 - 10) + (160 - 140),
        "lost": 100 - 55,
        "ending": 55 - 50,
        "queue": 10 + 10,
        "stopped": 30,
    }
    assert found.total == 240


def test_an_attempt_that_saved_nothing_is_lost_as_a_whole() -> None:
    again = moves(("running", 0, 1), ("lost", 50, 1), ("queued", 60, 2), ("running", 60, 2))
    found = wall(again, Told(written=column({1: 90.0}), resumed={2: 0}), now=100.0)

    assert found.seconds == {"training": 10, "start-up": 30, "lost": 50, "stopped": 10}


def test_a_pause_loses_nothing() -> None:
    again = moves(("running", 0, 1), ("paused", 50, 1), ("queued", 60, 2), ("running", 60, 2))
    told = Told(written=column({1: 20.0, 2: 48.0}), checkpoints=[Saved(2, 47.0)], resumed={2: 2})

    assert "lost" not in wall(again, told, now=70.0).seconds


def test_nothing_has_no_ratio() -> None:
    assert wall([], Told(), now=5.0).ratio is None


def test_the_time_between_attempts_is_none_that_it_ran() -> None:
    night = moves(
        ("queued", 0, 1), ("starting", 10, 1), ("running", 20, 1), ("paused", 100, 1),
        ("queued", 9_000, 2), ("running", 10_000, 2),
    )  # fmt: skip

    ran = ran_until(night, np.array([15.0, 60.0, 5_000.0, 10_030.0]))

    assert ran.tolist() == [0, 40, 80, 110]
