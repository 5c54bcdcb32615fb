"""Lines of many runs on one axis, and their smoothing."""

import numpy as np
import pytest

from monitoring.series.overlay import averaged, line_of, overlaid
from monitoring.series.smoothing import smoothed


def line(*points: tuple[float, float]) -> "object":
    places, values = zip(*points, strict=True)
    return line_of(np.array(places, float), np.array(values, float))


def shown(values: np.ndarray) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def test_few_points_stay_where_they_are() -> None:
    overlay = overlaid([line((1, 5), (3, 6)), line((2, 7), (3, 8)), line_of(np.empty(0), np.empty(0))], 10)  # type: ignore[list-item]  # fmt: skip  # noqa: E501
    assert overlay.places.tolist() == [1, 2, 3]
    assert [shown(row) for row in overlay.rows] == [[5, None, 6], [None, 7, 8], [None] * 3]
    assert not overlay.is_thinned


def test_of_many_points_the_extremes_of_each_pixel_stay() -> None:
    steps = np.arange(10_000, dtype=float)
    values = np.sin(steps / 700)
    values[1234], values[8765] = 9.0, -9.0
    overlay = overlaid([line_of(steps, values), line_of(steps[:100], values[:100])], 200)
    assert overlay.is_thinned
    assert len(overlay.places) == 400
    assert (overlay.rows[0].max(), overlay.rows[0].min()) == (9.0, -9.0)
    at = overlay.places[int(np.nanargmax(overlay.rows[0]))]
    assert abs(at - 1234) < 50  # a pixel is that wide
    assert np.isnan(overlay.rows[1][10:]).all()


def test_a_part_that_rises_is_drawn_rising() -> None:
    steps = np.arange(1000, dtype=float)
    rising, falling = overlaid([line_of(steps, steps), line_of(steps, -steps)], 10).rows
    assert (np.diff(rising) >= 0).all()
    assert (np.diff(falling) <= 0).all()


def test_what_is_not_finite_is_no_point_and_of_a_place_the_last_stays() -> None:
    found = line((1, 1), (2, np.nan), (np.nan, 3), (4, np.inf), (1, 5), (0, 6))
    assert (found.places.tolist(), found.values.tolist()) == ([0, 1], [6, 5])  # type: ignore[attr-defined]


def test_a_part_of_the_axis_goes_on_to_its_edges() -> None:
    whole = line(*((n, n) for n in range(10)))
    part = whole.within(3.5, 5.5)  # type: ignore[attr-defined]
    assert part.places.tolist() == [3, 4, 5, 6]
    assert len(whole.within(20, 30)) == 1  # type: ignore[attr-defined]


def test_groups_have_a_mean_and_a_band() -> None:
    places, [both, one] = averaged(
        [[line((0, 0), (2, 4)), line((1, 4), (2, 6))], [line((0, 1))]], 100  # type: ignore[list-item]
    )  # fmt: skip
    assert places.tolist() == [0, 1, 2]
    assert both.mean.tolist() == [0, 3, 5]
    assert (both.low.tolist(), both.high.tolist()) == ([0, 2, 4], [0, 4, 6])
    assert shown(one.mean) == [1, None, None]


@pytest.mark.parametrize("count", [1, 5, 256, 257, 1000])
@pytest.mark.parametrize("weight", [0.5, 0.9, 0.99])
def test_smoothing_is_that_of_the_page(count: int, weight: float) -> None:
    values = np.random.default_rng(1).random(count)
    average = total = 0.0
    expected = []
    for value in values:
        average, total = average * weight + (1 - weight) * value, total * weight + (1 - weight)
        expected.append(average / total)
    np.testing.assert_allclose(smoothed(values, weight), expected, rtol=1e-9)
    assert smoothed(values, 0.0) is values
