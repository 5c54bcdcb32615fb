import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.series.column import Column
from monitoring.series.thinning import A_PIXEL, middles, thinned


def column(*values: float) -> Column:
    return Column(np.arange(len(values), dtype=np.int64), np.array(values, np.float64))


def points(found: Column) -> list[tuple[int, float]]:
    return list(zip(found.steps.tolist(), found.values.tolist(), strict=True))


def test_the_least_and_the_greatest_of_each_pixel_stay() -> None:
    found = thinned(column(0, 5, 2, 1, 4, 3, 9, 7, 8, 6, 6, 6), 2)
    assert points(found) == [(0, 0.0), (1, 5.0), (6, 9.0), (9, 6.0), (11, 6.0)]


@pytest.mark.parametrize("width", [6, 7, 100])
def test_what_fits_stays_as_it_is(width: int) -> None:
    whole = column(*range(12))
    assert thinned(whole, width) is whole


def test_without_a_pixel_nothing_is_left_out() -> None:
    whole = column(*range(12))
    assert thinned(whole, 0) is whole


def test_what_is_not_finite_stays_once_a_pixel() -> None:
    nan, inf = math.nan, math.inf
    found = thinned(column(1, 1, nan, nan, inf, 1, 1, 1, -inf, 1, 1, 1), 2)
    assert [step for step, value in points(found) if not math.isfinite(value)] == [2, 8]


def test_nothing_finite_at_all() -> None:
    found = thinned(column(*[math.nan] * 12), 2)
    assert found.steps.tolist() == [0, 6, 11]


def test_a_gap_of_steps_leaves_pixels_empty() -> None:
    steps = np.array([0, 1, 2, 3, 4, 5, 6, 1_000_000], np.int64)
    found = thinned(Column(steps, np.arange(8.0)), 2)
    assert found.steps.tolist() == [0, 6, 1_000_000]


values = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.integers(0, 2**62), values, max_size=80), st.integers(1, 20))
def test_any_column_keeps_its_bounds_and_no_more_than_it_may(
    found: dict[int, float], width: int
) -> None:
    steps = np.array(sorted(found), np.int64)
    whole = Column(steps, np.array([found[step] for step in sorted(found)], np.float64))
    thin = thinned(whole, width)
    assert len(thin) <= max(2, A_PIXEL) * width + 2
    assert set(thin.steps.tolist()) <= set(found)
    finite = [value for value in found.values() if math.isfinite(value)]
    kept = [value for value in thin.values.tolist() if math.isfinite(value)]
    assert min(kept, default=None) == min(finite, default=None)
    assert max(kept, default=None) == max(finite, default=None)
    assert thin.steps.tolist() == sorted(thin.steps.tolist())


def test_the_means_of_the_parts_are_of_the_finite_values() -> None:
    nan, inf = math.nan, math.inf
    found = middles(column(1, 3, nan, inf, 5, 5, nan, nan, nan), 3)
    assert found.tolist()[:2] == [2.0, 5.0]
    assert math.isnan(found[2])
