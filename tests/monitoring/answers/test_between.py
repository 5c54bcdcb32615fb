"""The answers of several runs to the same prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from monitoring.answers.advantage import Method
from monitoring.answers.asked import Run
from monitoring.answers.between import Page, Side, page, prompt
from monitoring.answers.over_steps import Place
from monitoring.answers.question import About, Question
from tests.factories import write_lines
from tests.monitoring.answers.test_prompts import answer


def side(folder: Path, name: str, rows: Sequence[Any], about: About | None = None) -> Side:
    path = write_lines(folder / f"{name}.jsonl", [*rows])
    return Side(Place(1, path, folder / f"{name}.npz"), Run(about or About(), Method("grpo")))


def of_run(run: str, text: str, *scores: Any, output: str = "x") -> list[dict[str, Any]]:
    """Rows whose uid is another one in each run."""
    rows = [answer(text, n, output, score) for n, score in enumerate(scores)]
    return [row | {"uid": f"{run}-{row['uid']}"} for row in rows]


@pytest.fixture
def two(tmp_path: Path) -> list[Side]:
    first = [
        *of_run("1", "better", 0.0, 0.5),
        *of_run("1", "worse", 1.0, 1.0),
        *of_run("1", "same", 0.1, 0.2, 0.3),
        *of_run("1", "unscored", "?"),
        *of_run("1", "mine", 1.0),
    ]
    second = [
        *of_run("2", "theirs", 1.0),
        *of_run("2", "unscored", 1.0),
        *of_run("2", "same", 0.3, 0.2, 0.1),
        *of_run("2", "worse", 0.0),
        *of_run("2", "better", 0.5, 0.5, output="longer"),
    ]
    return [side(tmp_path, "1", first), side(tmp_path, "2", second)]


def texts(found: Page) -> list[str]:
    return [row.text.removeprefix("what is ").rstrip("?") for row in found.rows]


def test_prompts_are_matched_by_their_text(two: list[Side]) -> None:
    found = page(two, Question())
    assert (found.shared, found.matching) == (4, 4)
    assert found.verdicts == {"better": 1, "worse": 1, "same": 1, "unknown": 1}
    assert [(one.answers, one.prompts, one.alone, one.partly) for one in found.runs] == [
        (9, 5, 1, 0),
        (8, 5, 1, 0),
    ]
    # Those that differ most come first, what is not known last.
    assert texts(found) == ["worse", "better", "same", "unscored"]
    better = found.rows[1]
    assert better.change == pytest.approx(0.25)
    assert [(f.answers, f.mean, f.length) for f in better.figures] == [(2, 0.25, 1), (2, 0.5, 6)]
    assert [f.change for f in better.figures] == [None, pytest.approx(0.25)]
    assert found.rows[3].figures[0].mean is None
    assert found.rows[3].change is None
    # Of the prompts that both have: 0.25, 1 and 0.2; 0.5, 0, 0.2 and 1.
    assert found.runs[0].mean == pytest.approx(1.45 / 3)
    assert found.runs[1].mean == pytest.approx(1.7 / 4)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Question(sort="-change"), ["better", "same", "worse", "unscored"]),
        (Question(sort="change"), ["worse", "same", "better", "unscored"]),
        (Question(sort="-mean:2"), ["unscored", "better", "same", "worse"]),
        (Question(sort="-length:2"), ["better", "worse", "same", "unscored"]),
        (Question(sort="mean:8"), ["worse", "same", "better", "unscored"]),
        (Question(only="better"), ["better"]),
        (Question(only="worse"), ["worse"]),
        (Question(only="same"), ["same"]),
        (Question(only="unknown"), ["unscored"]),
        (Question(words="SAME"), ["same"]),
        (Question(words="^what is (w|b)", is_regex=True), ["worse", "better"]),
        (Question(words="nowhere"), []),
        (Question(page=9), ["worse", "better", "same", "unscored"]),
    ],
)
def test_sorts_and_filters(two: list[Side], asked: Question, expected: list[str]) -> None:
    assert texts(page(two, asked)) == expected


def test_a_third_run_narrows_what_all_have_and_may_be_the_one_that_counts(
    two: list[Side], tmp_path: Path
) -> None:
    third = side(tmp_path, "3", [*of_run("3", "worse", 2.0), *of_run("3", "theirs", 0.0)])
    found = page([*two, third], Question(only="better"), other=2)
    assert (found.shared, texts(found)) == (1, ["worse"])
    assert [f.change for f in found.rows[0].figures] == [None, -1.0, 1.0]
    assert found.rows[0].change == 1.0
    assert [(one.alone, one.partly) for one in found.runs] == [(1, 3), (0, 4), (0, 1)]


def test_prompts_of_one_text_are_one(tmp_path: Path) -> None:
    twice = [*of_run("1", "a", 0.0), *of_run("1b", "a", 1.0)]
    found = page(
        [side(tmp_path, "1", twice), side(tmp_path, "2", of_run("2", "a", 1.0))], Question()
    )
    assert [(f.answers, f.mean) for f in found.rows[0].figures] == [(2, 0.5), (1, 1.0)]
    groups = prompt([side(tmp_path, "1", twice)] * 2, found.rows[0].key)
    assert groups is not None
    assert [answer.score for answer in groups.runs[0].answers] == [0.0, 1.0]


def test_the_answers_of_each_run(two: list[Side]) -> None:
    key = page(two, Question(words="better")).rows[0].key
    found = prompt(two, key)
    assert found is not None
    assert found.text.shown == "what is better?"
    assert [[a.text.shown for a in group.answers] for group in found.runs] == [
        ["x", "x"],
        ["longer", "longer"],
    ]
    assert [group.figure.change for group in found.runs] == [None, pytest.approx(0.25)]
    assert prompt(two, "0" * 16) is None


def test_a_run_that_lacks_the_prompt_has_no_answers(two: list[Side], tmp_path: Path) -> None:
    key = page([two[1], two[1]], Question(words="theirs")).rows[0].key
    found = prompt(two, key)
    assert found is not None
    assert [len(group.answers) for group in found.runs] == [0, 1]
    assert found.text.shown == "what is theirs?"
    assert found.runs[1].figure.change is None


def test_many_answers_are_cut_and_counted(tmp_path: Path) -> None:
    sides = [side(tmp_path, n, of_run(n, "a", *[0.5] * 40)) for n in "123"]
    key = page(sides, Question()).rows[0].key
    found = prompt(sides, key)
    assert found is not None
    assert [(len(group.answers), group.more) for group in found.runs] == [(21, 19)] * 3


def test_secrets_are_hidden_and_neither_found(tmp_path: Path) -> None:
    about = About(secrets=["hunter2"])
    rows = of_run("1", "hunter2", 0.0, output="is hunter2")
    sides = [side(tmp_path, "1", rows, about), side(tmp_path, "2", rows, about)]
    found = page(sides, Question())
    assert texts(found) == ["*******"]
    assert page(sides, Question(words="hunter2")).matching == 0
    groups = prompt(sides, found.rows[0].key)
    assert groups is not None
    assert groups.text.shown == "what is *******?"
    assert groups.runs[1].answers[0].text.shown == "is *******"


@pytest.mark.parametrize("score", [1e308, -1e308])
def test_a_difference_beyond_a_float_is_not_known(tmp_path: Path, score: float) -> None:
    sides = [
        side(tmp_path, "1", of_run("1", "a", score)),
        side(tmp_path, "2", of_run("2", "a", -score)),
    ]
    found = page(sides, Question())
    assert (found.rows[0].change, found.verdicts["unknown"]) == (None, 1)
    groups = prompt(sides, found.rows[0].key)
    assert groups is not None
    assert groups.runs[1].figure.change is None


def test_nothing_in_common_and_nothing_at_all(two: list[Side], tmp_path: Path) -> None:
    for rows in ([], of_run("3", "other", 1.0)):
        found = page([two[0], side(tmp_path, "3", rows)], Question(words="x"))
        assert (found.shared, found.matching, list(found.rows)) == (0, 0, [])
        assert found.runs[0].alone == 5
