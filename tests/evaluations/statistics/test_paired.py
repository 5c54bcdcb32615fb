import numpy as np
import orjson
import pytest

from evaluations.statistics.figures import figures_of
from evaluations.statistics.paired import difference_in, paired
from evaluations.statistics.scores import NotScores, Scores, names_of, packed, unpacked
from evaluations.written.lines import ScoreLines
from tests.evaluations.made import line


def scores_of(*rows: dict[str, object]) -> Scores:
    lines = ScoreLines()
    lines.feed(b"\n".join(map(orjson.dumps, rows)))
    return lines.scores()


def text(number: int, nll: float, tokens: int) -> dict[str, object]:
    return {"prompt": f"{number:016x}", "nll": nll, "tokens": tokens}


def test_only_shared_prompts_are_compared() -> None:
    first = scores_of(*(line(n, [0.0]) for n in range(10)))
    second = scores_of(*(line(n, [1.0]) for n in range(5, 20)))
    found = paired(first, second, "answers")
    assert (found.shared, found.only_first, found.only_second) == (5, 5, 10)
    mean, passed = found.differences
    assert passed.name == "eval/pass@1"
    assert (mean.name, mean.first, mean.second) == ("eval/score/mean", 0.0, 1.0)
    assert (mean.better, mean.worse, mean.same) == (5, 0, 0)
    assert found.gains.tolist() == [1.0] * 5


def test_what_rounding_leaves_is_no_difference() -> None:
    first = scores_of(*(line(n, [s]) for n, s in enumerate([0.1 + 0.2, 0.3, 0.7, 0.1])))
    second = scores_of(*(line(n, [s]) for n, s in enumerate([0.3, 0.1 + 0.2, 0.1, 0.7])))
    found = paired(first, second, "answers")
    [mean] = found.differences
    assert mean.value == 0.0
    assert found.gains.tolist()[:2] == [0.0, 0.0]
    assert (mean.same, mean.better, mean.worse) == (2, 1, 1)


def test_one_figure_alone_differs_as_among_all() -> None:
    draws = np.random.default_rng(3)

    def rows() -> Scores:
        return scores_of(*(line(n, [float(draws.random())], task=f"t{n % 3}", metric="acc")
                           for n in range(90)))  # fmt: skip

    first, second = rows(), rows()
    for each in paired(first, second, "tasks").differences:
        assert difference_in(each.name, first, second, "tasks") == each
    assert difference_in("eval/t9/acc", first, second, "tasks") is None
    (mean, *_) = paired(first, second, "answers").differences
    assert difference_in(mean.name, first, second, "answers") == mean


def test_nothing_is_shared() -> None:
    found = paired(scores_of(line(1, [1.0])), scores_of(line(2, [1.0])), "answers")
    assert found.shared == 0
    assert found.differences == []


def test_better_worse_and_what_is_not_known() -> None:
    first = scores_of(*(line(n, [s]) for n, s in enumerate([0.0, 1.0, 1.0, None, 0.5])))
    second = scores_of(*(line(n, [s]) for n, s in enumerate([1.0, 0.0, 1.0, 1.0, None])))
    (mean,) = paired(first, second, "answers").differences
    assert (mean.prompts, mean.better, mean.worse, mean.same) == (3, 1, 1, 1)
    assert mean.verdict == "none"
    assert mean.sentence.startswith("No difference that shows")


def test_a_difference_that_shows_is_told_by_its_side() -> None:
    draws = np.random.default_rng(1)
    ease = draws.random(200)
    first = scores_of(*(line(n, [float(e)]) for n, e in enumerate(ease)))
    second = scores_of(*(line(n, [float(e + 0.1 + g)]) for n, (e, g) in enumerate(
        zip(ease, draws.normal(0, 0.1, 200), strict=True))))  # fmt: skip
    (mean,) = paired(first, second, "answers").differences
    assert mean.verdict == "better"
    assert mean.sentence.startswith("It is better: the difference is +0.")
    (back,) = paired(second, first, "answers").differences
    assert back.verdict == "worse"


def test_a_lower_loss_is_better_and_weighs_by_tokens() -> None:
    rows = [text(n, 10.0 + n, 5 + n) for n in range(30)]
    first = scores_of(*rows)
    second = scores_of(*(text(n, 9.0 + n - n % 3, 5 + n) for n in range(30)))
    found = paired(first, second, "loss")
    (loss,) = found.differences
    assert loss.verdict == "better"
    assert loss.better == 30
    assert loss.interval is not None
    assert loss.interval.value == pytest.approx(loss.second - loss.first)
    other = scores_of(*(text(n, 10.0 + n, 6 + n) for n in range(30)))
    assert "other tokens" in paired(first, other, "loss").differences[0].note


def test_the_same_model_twice_differs_nowhere() -> None:
    rows = [line(n, [n % 2]) for n in range(20)]
    (mean, *_) = paired(scores_of(*rows), scores_of(*rows), "answers").differences
    assert mean.same == 20
    assert "each of the 20 prompts scores the same" in mean.sentence


def test_equal_prompts_of_one_set_stay_apart() -> None:
    twice = scores_of(line(1, [0.0]), line(1, [1.0]), line(2, [0.5]))
    assert len(set(names_of(twice).tolist())) == 3
    other = scores_of(line(2, [0.5]), line(1, [0.0]), line(1, [0.0]))
    assert paired(twice, other, "answers").gains.tolist() == [0.0, -1.0, 0.0]


def test_each_task_is_a_figure_of_its_own() -> None:
    rows = [line(n, [n % 2], task=f"task{n % 3}", parts={"acc": [n % 2]}) for n in range(30)]
    found = figures_of(scores_of(*rows), "tasks")
    assert list(found) == ["eval/task0/acc", "eval/task1/acc", "eval/task2/acc"]
    assert found["eval/task1/acc"].value == 0.5


def test_figures_of_several_answers() -> None:
    right = {"acc": [1, 0, None, 1]}
    rows = [line(n, [0.2, 0.4, None, 0.6], parts=right) for n in range(4)]
    found = figures_of(scores_of(*rows), "answers")
    assert found["eval/score/mean"].value == pytest.approx(0.4)
    assert found["eval/score/best"].value == pytest.approx(0.6)
    assert found["eval/pass@1"].value == pytest.approx(2 / 3)
    assert "eval/pass@4" not in found  # three answers of each are known


def test_scores_are_kept_whole() -> None:
    rows = scores_of(*(line(n, [0.5, None], task="t", metric="m") for n in range(5)))
    again = unpacked(packed(rows))
    assert again.texts == rows.texts
    assert again.tasks == rows.tasks
    assert np.array_equal(again.values, rows.values, equal_nan=True)
    for broken in (b"", b"PK", packed(rows)[:-30], b"\x93NUMPY"):
        with pytest.raises(NotScores):
            unpacked(broken)
