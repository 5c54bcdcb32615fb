"""Means, the best of each prompt and pass@k, against what can be counted."""

from itertools import combinations

import pytest
from trainyard_node.evaluating.figures import Scored, metrics_of, pass_at, steps_of


def scored(*scores: float | None, **parts: list[float | None]) -> Scored:
    return Scored(list(scores), [2] * len(scores), parts)


@pytest.mark.parametrize("n", [1, 4, 6])
def test_pass_at_k_is_the_share_of_all_choices_of_k(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            choices = [*combinations([True] * c + [False] * (n - c), k)]
            assert pass_at(n, c, k) == pytest.approx(sum(map(any, choices)) / len(choices))


def test_more_right_answers_than_answers_is_no_pass() -> None:
    with pytest.raises(ValueError, match="pass@1 of 3 right answers among 2"):
        pass_at(2, 3, 1)


def test_k_is_each_power_of_two_and_the_number_of_answers() -> None:
    assert [steps_of(n) for n in (1, 2, 3, 8, 10)] == [
        [1], [1, 2], [1, 2, 3], [1, 2, 4, 8], [1, 2, 4, 8, 10],
    ]  # fmt: skip


def test_the_mean_is_over_prompts_not_over_answers() -> None:
    found, left_out = metrics_of([scored(1, 0, None, None), scored(1, 1, 1, 1)], 4)
    assert found["eval/score/mean"] == 0.75
    assert found["eval/score/best"] == 1
    assert found["eval/pass@1"] == 0.75
    assert found["eval/pass@2"] == 1
    assert found["eval/pass@4"] == 1  # of the second alone
    assert left_out == [
        "1 prompts have fewer than 4 scored answers: pass@k goes without those that have fewer "
        "than k."
    ]


def test_a_score_that_is_no_yes_or_no_gives_no_pass_at_k() -> None:
    found, left_out = metrics_of([scored(0.5), scored(1)], 1)
    assert found == {"eval/score/mean": 0.75, "eval/score/best": 0.75, "eval/tokens/mean": 2}
    assert "pass@k is left out" in left_out[0]


def test_acc_says_which_answers_are_right() -> None:
    found, _ = metrics_of([scored(0.1, 0.9, acc=[0, 1]), scored(0.1, 0.1, acc=[0, 0])], 2)
    assert found["eval/pass@1"] == 0.25
    assert found["eval/pass@2"] == 0.5
    assert found["eval/acc/mean"] == 0.25


def test_what_nobody_scored_is_in_no_figure() -> None:
    found, _ = metrics_of([scored(None, None)], 2)
    assert found == {"eval/tokens/mean": 2}
