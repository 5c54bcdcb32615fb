import json
import math
from pathlib import Path
from typing import Any

import pytest

from monitoring.answers import building, rows
from monitoring.answers.files import nearest, step_files
from monitoring.answers.kept import step_of
from monitoring.answers.prompts import Page
from monitoring.answers.prompts import page_of as page_of_step
from monitoring.answers.question import Question
from monitoring.answers.rows import LeftOut, rows_of
from monitoring.answers.side_by_side import MOST, answers_of
from tests.factories import write_lines


def answer(prompt: str, number: int, output: str, score: Any = 0.0, **parts: Any) -> dict[str, Any]:
    """A row as verl writes it."""
    row = {"input": f"what is {prompt}?", "output": output, "gts": "1", "score": score, "step": 4}
    return row | parts | {"uid": f"{prompt}_{number}_0"}


ROWS = [
    answer("a", 0, "two", 1.0, acc=1.0),
    answer("a", 1, "three", 0.0, acc=0.0),
    answer("b", 0, "x", 0.5),
    answer("b", 1, "xyz", 0.5),
    answer("c", 0, "THREE <b>", 0.25),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "4.jsonl", ROWS)


def page_of(path: Path, question: Question) -> Page:
    return page_of_step(step_of(path), question)


def texts(page: Page) -> list[str]:
    return [one.text.removeprefix("what is ").rstrip("?") for one in page.prompts]


def counts(page: Page) -> tuple[int, ...]:
    found = page.counts
    return (found.prompts, found.rows, page.matching, found.padding, found.flat)


def test_the_answers_of_a_prompt_are_one_group(path: Path) -> None:
    page = page_of(path, Question())
    assert texts(page) == ["a", "b", "c"]
    assert counts(page) == (3, 5, 3, 0, 1)
    assert page.counts.mean == pytest.approx(0.45)
    a, b, c = page.prompts
    assert (a.mean, a.is_flat, a.length) == (0.5, False, 4.0)
    assert a.deviation == pytest.approx(math.sqrt(0.5))  # of a sample, as GRPO takes it
    assert (b.mean, b.deviation, b.is_flat) == (0.5, 0.0, True)
    assert (c.deviation, c.is_flat) == (None, False)  # one answer has no deviation


def test_a_prompt_that_lost_answers_has_fewer_than_the_others(path: Path) -> None:
    assert [one.missing for one in page_of(path, Question()).prompts] == [0, 0, 1]
    assert texts(page_of(path, Question(only="missing"))) == ["c"]


def test_several_outputs_of_one_answer_are_one_answer(tmp_path: Path) -> None:
    turns = [answer("a", 0, "1"), answer("a", 0, "2") | {"uid": "a_0_1"}, answer("b", 0, "3")]
    page = page_of(write_lines(tmp_path / "1.jsonl", turns), Question())
    assert [(one.rows, one.missing) for one in page.prompts] == [(2, 0), (1, 0)]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (Question(words="three"), ["a", "c"]),
        (Question(words="IS B"), ["b"]),
        (Question(words="t(w|hr)", is_regex=True), ["a"]),
        (Question(words="^THREE", is_regex=True), ["c"]),
        (Question(words="."), []),
        (Question(only="flat"), ["b"]),
        (Question(low=0.3), ["a", "b"]),
        (Question(high=0.3), ["c"]),
        (Question(low=0.25, high=0.25), ["c"]),
        (Question(sort="mean"), ["c", "a", "b"]),
        (Question(sort="-length"), ["c", "a", "b"]),
        (Question(sort="deviation"), ["b", "a", "c"]),
        (Question(sort="-deviation"), ["a", "b", "c"]),  # without one: last in both orders
    ],
)
def test_prompts_are_found_and_sorted(path: Path, question: Question, found: list[str]) -> None:
    page = page_of(path, question)
    assert texts(page) == found
    assert (page.matching, page.counts.prompts) == (len(found), 3)


def test_pages_and_a_page_that_is_too_far(tmp_path: Path) -> None:
    many = [answer(f"p{n}", 0, "x") for n in range(60)]
    path = write_lines(tmp_path / "1.jsonl", many)
    assert texts(page_of(path, Question(page=2)))[0] == "p25"
    for far in (3, 99):
        assert texts(page_of(path, Question(page=far))) == [f"p{n}" for n in range(50, 60)]


def test_rows_that_verl_made_up_are_no_answers(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "1.jsonl", [*ROWS, answer("pad0f", 0, "", 0.0)])
    page = page_of(path, Question())
    assert counts(page) == (3, 5, 3, 1, 1)
    assert page.counts.mean == pytest.approx(0.45)
    assert "pad0f" not in texts(page)


def test_without_a_uid_the_text_of_the_prompt_makes_the_group(tmp_path: Path) -> None:
    plain = [{"input": text, "output": "x", "score": 1} for text in ("a", "b", "a")]
    page = page_of(write_lines(tmp_path / "1.jsonl", plain), Question())
    assert [(one.text, one.rows) for one in page.prompts] == [("a", 2), ("b", 1)]


@pytest.mark.parametrize(("scores", "mean"), [((1e200, -1e200), 0.0), ((1.7e308, 1.7e308), None)])
@pytest.mark.parametrize("sort", ["", "mean", "-deviation"])
def test_a_figure_beyond_a_float_is_none(
    tmp_path: Path, scores: tuple[float, float], mean: float | None, sort: str
) -> None:
    rows = [answer("a", number, "x", score) for number, score in enumerate(scores)]
    page = page_of(write_lines(tmp_path / "1.jsonl", rows), Question(sort=sort))
    assert page.counts.mean == mean
    assert (page.prompts[0].mean, page.prompts[0].deviation) == (mean, None)


@pytest.mark.parametrize("score", [None, "1.0", True, float("nan"), float("inf"), [1], 10**400])
def test_a_score_that_is_no_number_is_not_counted(tmp_path: Path, score: Any) -> None:
    path = write_lines(tmp_path / "1.jsonl", [answer("a", 0, "x", score), answer("a", 1, "y", 1.0)])
    [one] = page_of(path, Question()).prompts
    assert (one.rows, one.mean, one.unscored) == (2, 1.0, 1)


def test_rows_with_other_keys_and_types(tmp_path: Path) -> None:
    odd = [
        {"input": None},
        {"input": ["a", {"b": 1}], "output": 5, "score": 1, "uid": 7, "gts": {}},
        {"input": "\ud800", "output": "\ud800", "uid": ""},
    ]
    page = page_of(write_lines(tmp_path / "1.jsonl", odd), Question(words="x"))
    assert (page.counts.prompts, page.matching) == (3, 0)
    shown = page_of(tmp_path / "1.jsonl", Question()).prompts
    assert [one.text for one in shown] == ["", '["a", {"b": 1}]', "?"]


def test_what_cannot_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LONGEST", 200)
    path = tmp_path / "1.jsonl"
    whole = json.dumps(ROWS[0])
    lines = [
        whole,
        "no json",
        "[1]",
        '{"output": "no prompt"}',
        "",
        '{"input": "' + "x" * 300 + '"}',
    ]
    path.write_text("\n".join([*lines, whole, whole[:20]]))
    left_out = LeftOut()
    assert len([*rows_of(path, left_out)]) == 2
    end = path.stat().st_size - 20
    assert left_out == LeftOut(broken=3, long=1, is_torn=True, end=end)


def test_a_file_of_very_many_rows_is_read_to_a_limit_that_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "MOST_ROWS", 5)
    assert not page_of(path, Question()).counts.left_out.is_cut
    monkeypatch.setattr(building, "MOST_ROWS", 4)
    page = page_of(path, Question())
    assert (page.counts.rows, page.counts.left_out.is_cut) == (4, True)


def test_the_answers_to_a_prompt_side_by_side(path: Path) -> None:
    key = page_of(path, Question()).prompts[0].key
    found = answers_of(step_of(path), key)
    assert found is not None
    assert found.text.shown == "what is a?"
    shown = [(one.text.shown, one.score, one.truth, [*one.parts]) for one in found.shown]
    assert shown == [
        ("two", 1.0, "1", [("acc", "1.0")]),
        ("three", 0.0, "1", [("acc", "0.0")]),
    ]


def test_a_prompt_that_is_not_there(path: Path) -> None:
    assert answers_of(step_of(path), "0" * 16) is None


def test_long_texts_and_many_answers_are_cut_and_said(tmp_path: Path) -> None:
    rows_ = [answer("a", n, "x" * 9_000, "none", **{"k" * 500: "v" * 500}) for n in range(MOST + 3)]
    path = write_lines(tmp_path / "1.jsonl", rows_)
    key = page_of(path, Question()).prompts[0].key
    found = answers_of(step_of(path), key)
    assert found is not None
    assert (len(found.shown), found.more) == (MOST, 3)
    one = found.shown[0]
    assert one.text.length == 9_000
    assert one.text.left_out == 9_000 - len(one.text.shown) > 0
    assert (one.score, one.said) == (None, "none")
    assert [(len(name), len(value)) for name, value in one.parts] == [(100, 100)]
    assert sum(len(each.text.shown) for each in found.shown) < 310_000


def test_the_newest_attempt_that_did_a_step_has_its_answers(tmp_path: Path) -> None:
    first, second = tmp_path / "attempt-1", tmp_path / "attempt-2"
    for folder, steps in ((first, (1, 2, 10)), (second, (2, 3))):
        for step in steps:
            write_lines(folder / f"{step}.jsonl", ROWS)
    for name in ("x.jsonl", "04.jsonl", "5.json", "-1.jsonl", f"{10**20}.jsonl"):
        (first / name).write_text("")
    (first / "6.jsonl").mkdir()
    files = step_files([(1, first), (2, second), (3, tmp_path / "none")])
    assert [(file.step, file.attempt) for file in files] == [(1, 1), (2, 2), (3, 2), (10, 1)]
    picked = [nearest(files, step) for step in (None, 2, 9, 10**18)]
    assert [file and file.step for file in picked] == [10, 2, 10, 10]
    assert nearest([], 1) is None
