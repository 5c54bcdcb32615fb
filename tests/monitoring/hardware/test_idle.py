from collections.abc import Sequence

import pytest

from monitoring.hardware.idle import idle_gpus
from monitoring.hardware.summary import summary


def samples(*uses: Sequence[float | None]) -> list[dict[str, object]]:
    """One for each moment, with the use of each GPU."""
    return [
        {"gpus": [{"index": at, "util_percent": use} for at, use in enumerate(each)]}
        for each in zip(*uses, strict=True)
    ]


def test_a_gpu_that_did_nothing_for_much_of_the_time_is_named() -> None:
    busy, idle = [90.0] * 20, [0.0] * 10 + [90.0] * 10
    (found,) = idle_gpus(samples(busy, idle), 1000.0, None)

    assert (found.index, found.share, found.samples, found.seconds) == (1, 0.5, 20, 500.0)


def test_gpus_of_others_do_not_count() -> None:
    assert idle_gpus(samples([90.0] * 20, [0.0] * 20), 1000.0, {0}) == []


@pytest.mark.parametrize("uses", [[0.0] * 5, [None] * 20, [0.0] * 4 + [50.0] * 16])
def test_of_few_samples_and_of_short_waits_nothing_is_said(uses: list[float | None]) -> None:
    assert idle_gpus(samples(uses), 1000.0, None) == []


def test_without_gpus_there_is_nothing() -> None:
    assert idle_gpus([{"cpu_percent": 5.0}] * 20, 1000.0, None) == []


def test_the_summary_has_what_was_measured() -> None:
    rows = summary(
        [
            {"cpu_percent": 10.0, "memory_used": None, "gpus": [{"index": 0, "power_w": 100.0}]},
            {"cpu_percent": 30.0, "gpus": [{"index": 0, "power_w": 300.0}]},
        ]
    )

    assert [(row.name, row.mean, row.peak) for row in rows] == [
        ("CPU", 20.0, 30.0),
        ("GPU 0, power", 200.0, 300.0),
    ]
