import numpy as np
import pytest

from evaluations.statistics.pass_at_k import pass_at
from evaluations.statistics.resampling import Interval, Sums, interval, intervals, mean_of, student
from tests.evaluations.statistics.simulated import BINARY, RARE, REAL, SKEWED, coverage


@pytest.mark.parametrize(
    ("kind", "prompts", "samples"),
    [(BINARY, 50, 1), (BINARY, 50, 4), (BINARY, 200, 1), (BINARY, 200, 4), (BINARY, 1000, 1),
     (REAL, 50, 1), (REAL, 50, 4), (REAL, 200, 4), (REAL, 1000, 4), (SKEWED, 50, 1),
     (SKEWED, 200, 4), (RARE, 100, 1), (RARE, 200, 4)],
)  # fmt: skip
def test_the_interval_holds_the_truth_as_often_as_it_says(
    kind: str, prompts: int, samples: int
) -> None:
    assert 0.93 <= coverage(kind, prompts, samples) <= 0.97


def test_the_same_again_is_the_same() -> None:
    each = mean_of(np.random.default_rng(3).normal(size=80))
    assert interval(each) == interval(each)
    assert interval(each, seed=1) != interval(each, seed=2)


def test_what_is_asked_together_is_as_what_is_asked_alone() -> None:
    draws = np.random.default_rng(4)
    several = [mean_of(draws.normal(size=60)) for _ in range(3)]
    for alone, beside in zip(map(interval, several), intervals(several), strict=True):
        assert alone is not None
        assert beside is not None
        assert (alone.low, alone.high) == pytest.approx((beside.low, beside.high))


def test_a_mean_of_few_numbers() -> None:
    assert interval(mean_of(np.array([1.0]))) is None
    assert intervals([]) == []
    found = interval(mean_of(np.array([0.0, 1.0])))
    assert found is not None
    assert found.low <= 0.5 <= found.high


def test_prompts_that_all_score_the_same_say_that_the_truth_may_be_a_little_off() -> None:
    found = interval(mean_of(np.ones(50), (0.0, 1.0)))
    assert found is not None
    assert found.value == found.high == 1.0
    assert 0.88 < found.low < 0.97  # by the rule of three, 0.94
    assert interval(mean_of(np.zeros(50), (-0.0, 0.0))) == Interval(0.0, 0.0, 0.0)


def test_a_ratio_weighs_prompts_by_their_tokens() -> None:
    draws = np.random.default_rng(5)
    tokens = draws.integers(5, 200, 300).astype(np.float64)
    losses = tokens * draws.normal(2.0, 0.3, 300)
    found = interval(Sums(losses, tokens))
    assert found is not None
    assert found.value == pytest.approx(losses.sum() / tokens.sum())
    assert found.low < 2.0 < found.high
    assert found.high - found.low < 0.15


def test_so_many_prompts_that_none_are_drawn() -> None:
    parts = np.random.default_rng(6).normal(1.0, 1.0, 20_000)
    found = interval(mean_of(parts))
    assert found is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20_000**0.5, rel=0.03)


def test_pass_at_k_is_the_share_of_choices_with_a_right_one() -> None:
    answers, right = np.array([4, 4, 4, 2]), np.array([0, 1, 4, 1])
    assert pass_at(1, answers, right).tolist() == [0.0, 0.25, 1.0, 0.5]
    assert pass_at(2, answers, right).tolist() == [0.0, 0.5, 1.0, 1.0]
    assert np.isnan(pass_at(4, answers, right)[3])
    assert pass_at(4, answers, right)[:3].tolist() == [0.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="Of no answers"):
        pass_at(0, answers, right)


@pytest.mark.parametrize("prompts", [2, 3, 4, 8])
def test_few_prompts_tell_a_difference_that_is_none_as_seldom_as_many(prompts: int) -> None:
    draws = np.random.default_rng(7)
    rows = [draws.normal(size=prompts) for _ in range(1000)]
    found = intervals([mean_of(each, (-max(abs(each)), max(abs(each)))) for each in rows])
    assert sum(each is not None and not each.holds_zero for each in found) < 65


def test_the_quantiles_of_student() -> None:
    known = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 10: 2.228, 100: 1.984}
    for freedom, value in known.items():
        assert student(freedom) == pytest.approx(value, rel=2e-3)
