"""Columns, frames, their summaries, and all of them as bytes."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.series.column import EMPTY, Column, in_order, merged
from monitoring.series.cutting import blocks_of
from monitoring.series.encoding import (
    read_column,
    read_frames,
    write_frames,
    write_steps,
    write_values,
)
from monitoring.series.frame import Frame, columns, frame_of, frame_of_column, joined
from monitoring.series.plot import polylines
from monitoring.series.summary import Summary, summaries, summary_of


def column(found: dict[int, float]) -> Column:
    return Column(np.array(list(found), np.int64), np.array(list(found.values()), np.float64))


def points(found: Column) -> dict[int, float]:
    return dict(zip(found.steps.tolist(), found.values.tolist(), strict=True))


def frame(keys: tuple[int, ...], rows: dict[int, list[float]]) -> Frame[int]:
    steps = np.array(list(rows), np.int64)
    return frame_of(keys, steps, np.array(list(rows.values()), np.float64))


def test_points_in_any_order_of_which_the_last_of_a_step_stays() -> None:
    found = in_order(np.array([5, 2, 5, 1]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert points(found) == {1: 4.0, 2: 2.0, 5: 3.0}


def test_of_several_columns_the_later_one_wins() -> None:
    assert points(merged([column({1: 1, 3: 1}), EMPTY, column({2: 2, 3: 2})])) == {1: 1, 2: 2, 3: 2}
    assert merged([]) is EMPTY


def test_parts_of_a_column_by_step() -> None:
    whole = column({2: 1, 4: 2, 6: 3})
    assert points(whole.up_to(4)) == {2: 1, 4: 2}
    assert points(whole.up_to(1)) == {}
    assert points(whole.after(4)) == {6: 3}
    assert points(whole.within(3, 6)) == {4: 2, 6: 3}
    assert points(whole.within(None, 2)) == {2: 1}
    assert points(whole.within(5, None)) == {6: 3}


def test_a_column_is_cut_into_blocks() -> None:
    parts = [part.steps.tolist() for part in blocks_of(column(dict.fromkeys(range(7), 0.0)), 3)]
    assert parts == [[0, 1, 2], [3, 4, 5], [6]]


def test_frames_of_the_same_keys_are_joined() -> None:
    found = joined([frame((1, 2), {1: [1, 2]}), frame((3,), {1: [3]}), frame((1, 2), {2: [4, 5]})])
    assert [(part.keys, part.steps.tolist()) for part in found] == [((1, 2), [1, 2]), ((3,), [1])]


def test_the_column_of_each_key() -> None:
    frames = [frame((1, 2), {1: [1, 2], 3: [5, 6]}), frame((2, 3), {2: [8, 9]})]
    assert {key: points(found) for key, found in columns(frames).items()} == {
        1: {1: 1, 3: 5},
        2: {1: 2, 2: 8, 3: 6},
        3: {2: 9},
    }
    assert columns(frames, only=[3]).keys() == {3}


def test_what_a_table_shows() -> None:
    nan, inf = math.nan, math.inf
    assert summary_of(column({1: 3.0, 2: nan, 5: 2.0})) == Summary(5, 2.0, 2.0, 3.0, 3)
    assert summary_of(column({1: inf, 2: -inf})) == Summary(2, -inf, None, None, 2)


def test_summaries_of_frames_in_any_order() -> None:
    frames = [frame((1,), {5: [5.0], 7: [7.0]}), frame((1, 2), {6: [9.0, 1.0]})]
    assert summaries(frames) == {1: Summary(7, 7.0, 5.0, 9.0, 3), 2: Summary(6, 1.0, 1.0, 1.0, 1)}


@pytest.mark.parametrize(
    ("steps", "size"),
    [([1], 0), ([1, 2, 3], 0), ([5, 10, 15], 0), ([1, 2, 4], 24), ([0, 2**62], 0)],
)
def test_evenly_spaced_steps_take_no_bytes(steps: list[int], size: int) -> None:
    assert len(write_steps(np.array(steps, np.int64))) == size


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.integers(0, 2**62), st.floats(), min_size=1, max_size=9))
def test_any_column_comes_back_from_its_bytes(given_points: dict[int, float]) -> None:
    steps = sorted(given_points)
    values = np.array([given_points[step] for step in steps], np.float64)
    whole = Column(np.array(steps, np.int64), values)
    told = write_steps(whole.steps), write_values(whole.values)
    found = read_column(*told, steps[0], steps[-1])
    assert found.steps.tolist() == steps
    assert write_values(found.values) == told[1]
    view = read_column(memoryview(told[0]), memoryview(told[1]), steps[0], steps[-1])
    assert view.steps.tolist() == steps


def test_frames_come_back_from_their_bytes() -> None:
    frames = [frame((7, 9), {1: [0.5, math.inf], 4: [1, 2]}), frame_of_column(3, column({2: 8}))]
    found = list(read_frames(write_frames(frames)))
    assert [part.keys for part in found] == [(7, 9), (3,)]
    assert found[0].values.tolist() == [[0.5, math.inf], [1.0, 2.0]]
    assert [part.steps.tolist() for part in found] == [[1, 4], [2]]


def test_a_plot_leaves_a_gap_where_a_value_is_not_finite() -> None:
    found = polylines(column({0: 0.0, 1: 10.0, 2: math.nan, 3: 5.0, 4: 5.0}), 40, 20)
    assert found == ["0.0,20.0 10.0,0.0", "30.0,10.0 40.0,10.0"]


def test_a_plot_of_one_value_lies_in_the_middle() -> None:
    assert polylines(column({3: 7.0}), 40, 20) == ["20.0,10.0"]
    assert polylines(column({3: math.nan}), 40, 20) == []
    assert polylines(column({1: -1.7e308, 2: 1.7e308}), 40, 20) == ["0.0,20.0 40.0,0.0"]
