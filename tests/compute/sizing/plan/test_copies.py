"""A copy is what ``dataclasses.replace`` makes, without what a cached property kept."""

from dataclasses import FrozenInstanceError, dataclass, replace
from functools import cached_property

import pytest

from compute.sizing.plan.copies import replaced
from tests.compute.sizing.plan.questions import grpo


@dataclass(frozen=True)
class Square:
    side: int

    @cached_property
    def area(self) -> int:
        return self.side**2


def test_a_copy_equals_that_of_the_standard_library() -> None:
    question = grpo()

    copy = replaced(question, rows=7, gpus=16)

    assert copy == replace(question, rows=7, gpus=16)
    assert hash(copy) == hash(replace(question, rows=7, gpus=16))
    assert (question.rows, question.gpus) == (128, 8)
    with pytest.raises(FrozenInstanceError):
        copy.rows = 8  # type: ignore[misc]


def test_a_copy_works_out_anew_what_the_original_had_kept() -> None:
    square = Square(3)
    assert square.area == 9

    assert replaced(square, side=4).area == 16


def test_nothing_is_copied_where_nothing_differs() -> None:
    question = grpo()

    assert replaced(question, rows=question.rows) is question


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(KeyError):
        replaced(Square(3), height=4)
