"""Rows that others published, held against the estimate: which it meets, and which it misses.

``python -m tests.bench throughput`` prints them all.
"""

import pytest

from compute.sizing.speed.times import time_of
from tests.compute.sizing.speed.published import (
    MATH_FIGURES,
    Row,
    math_rows,
    megatron_rows,
    rows,
    titan_rows,
)
from tests.compute.sizing.speed.published import math as math_question

# The rows that the estimate does not reach, and about by which factor, so that one that gets worse
# or better is seen:
# - verl's former trainer moves padded rows of 30 k tokens through one process, which is not
#   estimated and does not shrink with more GPUs: passes that should halve take 108, 70 and 54 s,
#   which is 32 s and a part that halves;
# - the three runs of Qwen2.5-Math-7B must differ in the lengths of their answers: 64 GPUs sampled
#   2.4 times as fast as 32, and 128 slower than 64. Only one length is fitted, that on 32;
# - DeepSeek's rollout splits each product over 32 GPUs of four machines.
MISSED = {
    "Qwen2.5-Math-7B, 32 H20, rollout": 1.90,
    "Qwen2.5-Math-7B, 64 H20, log_prob": 1.88,
    "Qwen2.5-Math-7B, 128 H20, log_prob": 2.83,
    "DeepSeek-671B, 96 H20, rollout": 1.70,
}


def by_name(told: list[Row]) -> dict[str, Row]:
    return {row.name: row for row in told}


def test_the_rows_with_tables_are_met_within_a_quarter_and_in_their_order() -> None:
    told = titan_rows()
    assert all(row.is_covered and row.within == 1.25 for row in told)
    assert {row.name: round(row.off, 2) for row in told if row.off > row.within} == {}
    assert sorted(told, key=lambda row: row.published) == sorted(
        told, key=lambda row: row.estimated
    )


def test_the_other_rows_are_met_within_one_and_a_half_but_for_those_that_are_listed() -> None:
    told = [*math_rows(), *megatron_rows()]
    off = {row.name: row.off for row in told if row.off > row.within}
    assert set(off) == set(MISSED)
    assert off == pytest.approx(MISSED, rel=0.1)


def test_the_length_of_answers_that_no_source_tells_is_that_of_one_update() -> None:
    update = time_of(math_question(32)).phases["update"]
    assert update == pytest.approx(MATH_FIGURES[32]["update"], rel=0.02)


def test_rows_name_their_source_and_what_they_cannot_say() -> None:
    for row in rows():
        assert row.source.startswith(("pytorch/torchtitan", "volcengine/verl")), row.name
        assert row.is_covered or row.note, row.name
