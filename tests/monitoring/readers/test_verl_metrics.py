import math

import pytest

from monitoring.readers.lines import Line
from monitoring.readers.verl_metrics import Metrics, read_metrics, write_value
from monitoring.series.frame import columns

NOW = 1000.0


def metrics(*texts: str) -> Metrics:
    return read_metrics([Line(n, text.encode()) for n, text in enumerate(texts)], NOW)


def read(*texts: str) -> tuple[dict[tuple[str, int], float], list[int]]:
    found = metrics(*texts)
    points = {
        (name, step): value
        for name, column in columns(found.frames).items()
        for step, value in zip(column.steps.tolist(), column.values.tolist(), strict=True)
    }
    return points, [line.position for line in found.broken]


def times(*texts: str) -> dict[int, float]:
    column = metrics(*texts).times
    return dict(zip(column.steps.tolist(), column.values.tolist(), strict=True))


def test_points_by_name_and_step() -> None:
    points, broken = read(
        '{"step": 1, "data": {"train/loss": 0.5, "train/lr": 1}}',
        '{"step": 2, "data": {"train/loss": 0.25}}',
    )
    assert points == {("train/loss", 1): 0.5, ("train/lr", 1): 1.0, ("train/loss", 2): 0.25}
    assert broken == []


def test_a_later_line_of_the_same_step_wins_and_adds() -> None:
    points, _ = read(
        '{"step": 1, "data": {"a": 1, "b": 1}}', '{"step": 1, "data": {"a": 2, "c": 3}}'
    )
    assert points == {("a", 1): 2.0, ("b", 1): 1.0, ("c", 1): 3.0}


def test_not_a_number_and_infinity_are_values() -> None:
    points, broken = read('{"step": 1, "data": {"a": NaN, "b": Infinity, "c": -Infinity}}')
    assert math.isnan(points["a", 1])
    assert points["b", 1] == math.inf
    assert points["c", 1] == -math.inf
    assert broken == []


def test_a_whole_number_beyond_a_float_is_infinite() -> None:
    huge = "1" + "0" * 400
    points, _ = read('{"step": 1, "data": {"a": HUGE, "b": -HUGE}}'.replace("HUGE", huge))
    assert points == {("a", 1): math.inf, ("b", 1): -math.inf}


def test_what_is_no_number_is_left_out() -> None:
    points, broken = read(
        '{"step": 1, "data": {"a": "x", "b": null, "c": true, "d": [1], "e": {}, "f": 1}}'
    )
    assert math.isnan(points.pop(("b", 1)))  # how verl's logger writes NaN and the infinities
    assert points == {("f", 1): 1.0}
    assert broken == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        "null",
        "{}",
        '{"step": 1}',
        '{"data": {"a": 1}}',
        '{"step": 1, "data": []}',
        '{"step": "1", "data": {"a": 1}}',
        '{"step": 1.5, "data": {"a": 1}}',
        '{"step": true, "data": {"a": 1}}',
        '{"step": -1, "data": {"a": 1}}',
        '{"step": 2147483648, "data": {"a": 1}}',
        '{"step": 1, "data": {"a": 1}}{"step": 2',
        '{"step": 1, "data": {"a": 1%s}}' % ("0" * 5000),
        "[" * 100_000,
    ],
)
def test_a_broken_line_is_told_and_costs_nothing_else(text: str) -> None:
    points, broken = read(text, '{"step": 3, "data": {"a": 1}}')
    assert points == {("a", 3): 1.0}
    assert broken == [0]


def test_the_last_step_that_fits() -> None:
    assert read('{"step": 2147483647, "data": {"a": 1}}')[0] == {("a", 2147483647): 1.0}


def test_a_long_name_is_cut() -> None:
    assert list(read('{"step": 1, "data": {"%s": 1}}' % ("x" * 300))[0]) == [("x" * 200, 1)]


def test_a_name_that_no_database_holds_is_made_readable() -> None:
    points, _ = read('{"step": 1, "data": {"a\\u0000b": 1, "c\\ud800": 2, "\\ud83d\\ude82": 3}}')
    assert points == {("a\ufffdb", 1): 1.0, ("c\ufffd", 1): 2.0, ("🚂", 1): 3.0}


def test_lines_of_the_same_names_become_one_frame_whatever_comes_between() -> None:
    frames = metrics(
        '{"step": 1, "data": {"a": 1, "b": 2}}',
        '{"step": 2, "data": {"a": 3, "b": 4, "val": 5}}',
        '{"step": 3, "data": {"a": 6, "b": 7}}',
    ).frames
    assert [(frame.keys, frame.steps.tolist()) for frame in frames] == [
        (("a", "b"), [1, 3]),
        (("a", "b", "val"), [2]),
    ]


def test_steps_that_go_back_are_put_in_order_and_the_later_value_stays() -> None:
    points, _ = read(*(f'{{"step": {n}, "data": {{"a": {at}}}}}' for at, n in enumerate((5, 2, 5))))
    assert points == {("a", 2): 1.0, ("a", 5): 2.0}


def test_the_highest_step() -> None:
    assert metrics('{"step": 7, "data": {"a": 1}}', '{"step": 3, "data": {"b": 1}}').last_step == 7
    assert metrics().last_step == 0
    assert metrics('{"step": 7, "data": {}}').last_step == 0


def test_the_newest_line_was_written_when_its_file_was() -> None:
    assert times('{"step": 4, "data": {"a": 1}}') == {4: NOW}


def test_between_steps_lies_the_duration_that_was_measured() -> None:
    line = '{{"step": {}, "data": {{"timing_s/step": {}}}}}'
    found = times(line.format(1, 9), line.format(2, 20), '{"step": 3, "data": {"a": 1}}')
    assert found == {1: 980.0, 2: 1000.0, 3: 1000.0}


def test_of_a_step_that_is_told_twice_the_first_time_counts() -> None:
    line = '{{"step": {}, "data": {{"timing_s/step": {}}}}}'
    assert times(line.format(1, 5), line.format(2, 5), line.format(2, 5)) == {1: 995.0, 2: NOW}


@pytest.mark.parametrize("told", ["null", "-3", "NaN", "1e999", '"x"'])
def test_a_duration_that_is_none_moves_no_time(told: str) -> None:
    line = f'{{"step": 2, "data": {{"timing_s/step": {told}}}}}'
    assert times('{"step": 1, "data": {"a": 1}}', line) == {1: NOW, 2: NOW}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "nan"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (0.5, 0.5),
        (0.0, 0.0),
    ],
)
def test_a_value_for_json(value: float | None, written: float | str) -> None:
    assert write_value(value) == written
