import math

import pytest

from monitoring.readers.lines import Line
from monitoring.readers.verl_metrics import read_points, write_value


def read(*texts: str) -> tuple[dict[tuple[str, int], float], list[int]]:
    points, broken = read_points([Line(n, text) for n, text in enumerate(texts)])
    return points, [line.position for line in broken]


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
