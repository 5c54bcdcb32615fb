"""The distribution of answers' lengths."""

import pytest

from compute.sizing.speed.lengths import spread


@pytest.mark.parametrize(
    ("mean", "longest"), [(100, 4096), (1000, 4096), (2048, 4096), (3900, 4096)]
)
def test_the_mean_of_the_lengths_is_the_one_that_was_told(mean: float, longest: int) -> None:
    answers = spread(mean, longest)
    # The mean of a positive number is the integral of the share that is larger.
    assert sum(answers.alive(at + 0.5) for at in range(longest)) == pytest.approx(mean, rel=1e-3)


def test_the_square_is_that_of_an_exponential_where_nothing_is_cut() -> None:
    assert spread(100, 100_000).square == pytest.approx(2 * 100**2, rel=1e-6)


def test_answers_as_long_as_allowed_have_one_length() -> None:
    answers = spread(4090, 4096)
    assert answers.rate == 0
    assert answers.square == 4090**2
    assert answers.end(1000) == 4090


def test_the_longest_of_many_answers_is_cut_where_none_may_be_longer() -> None:
    answers = spread(1000, 4096)
    assert answers.end(10_000) == 4096
    assert 2500 < spread(1000, 100_000).end(10) < 3500  # harmonic number of 10: 2.93 means
    assert answers.alive(4096) == 0


def test_no_answers_take_no_tokens() -> None:
    assert spread(0, 0).square == 0
