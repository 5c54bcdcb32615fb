"""A step's columns are kept, and grow with its file; what is counted by them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitoring.answers import kept as kept_columns
from monitoring.answers.advantage import Method, advantages, mean_of
from monitoring.answers.checking import check_of
from monitoring.answers.figures import Figures, changes
from monitoring.answers.kept import step_of
from monitoring.answers.over_steps import Place, prompt_over, spread_of
from monitoring.answers.prompts import Answer, page_of
from monitoring.answers.question import ANSWERS, About, Question
from monitoring.answers.repetition import repetition
from monitoring.answers.side_by_side import answers_of
from monitoring.answers.step import Step
from monitoring.answers.turns import turns_of
from tests.factories import write_lines
from tests.monitoring.answers.test_prompts import ROWS, answer


def counted(prompt: str, number: int, score: float, tokens: int, **more: Any) -> dict[str, Any]:
    """A row to which the node added what it knows."""
    own = {"trainyard_tokens": tokens, "trainyard_trained": tokens} | more
    return answer(prompt, number, "word " * tokens, score, **own)


COUNTED = [
    counted("a", 0, 1.0, 2),
    counted("a", 1, 0.0, 8),
    counted("b", 0, 0.5, 4),
    counted("b", 1, 0.5, 0),
]


def place(folder: Path, step: int, rows: list[Any]) -> Place:
    path = write_lines(folder / f"{step}.jsonl", rows)
    return Place(step, path, folder / "kept" / f"{step}.npz")


def same(one: Step, other: Step) -> None:
    for name in (*kept_columns.COLUMNS, "padding", "left_out"):
        np.testing.assert_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_equal(dict(one.parts), dict(other.parts))


def test_columns_are_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = place(tmp_path, 1, [*ROWS, answer("pad", 0, ""), "broken", '{"input": "to'])
    first = step_of(at.path, at.kept)
    monkeypatch.setattr(kept_columns, "built", lambda *_: pytest.fail("The file is read again."))
    again = step_of(at.path, at.kept)
    same(again, first)
    assert (again.path, again.padding, again.left_out.broken) == (at.path, 1, 2)


def test_columns_grow_with_their_file(tmp_path: Path) -> None:
    """A row that was torn is whole now; prompts go on; a part that came late has gaps before."""
    rows = [*ROWS, "broken", answer("a", 2, "late", 0.7, new=True), answer("d", 0, "x")]
    whole = place(tmp_path, 1, rows)
    data = whole.path.read_bytes()
    grown = place(tmp_path, 2, [])
    for end in (0, 10, len(data) // 2, len(data) - 5, len(data)):
        grown.path.write_bytes(data[:end])
        step = step_of(grown.path, grown.kept)
        same(step, step_of(grown.path))
    same(step, step_of(whole.path))
    assert math.isnan(step.parts["new"][0])
    assert step.parts["new"][-2] == 1.0


@pytest.mark.parametrize("damage", ["other", "cut", "nothing", "release"])
def test_columns_of_another_file_are_made_anew(tmp_path: Path, damage: str) -> None:
    at = place(tmp_path, 1, ROWS)
    step_of(at.path, at.kept)
    if damage == "other":
        write_lines(
            at.path, [answer("z", number, "longer than before " * 9) for number in range(9)]
        )
    elif damage == "cut":
        at.kept.write_bytes(at.kept.read_bytes()[:500])
    elif damage == "nothing":
        at.kept.write_bytes(b"")
    else:
        with np.load(at.kept) as found:
            columns = dict(found)
        columns["about"] = np.frombuffer(b'{"release": 0}', np.uint8)
        np.savez(at.kept, **columns)
    same(step_of(at.path, at.kept), step_of(at.path))


def test_columns_that_cannot_be_kept_are_used_all_the_same(tmp_path: Path) -> None:
    at = place(tmp_path, 1, ROWS)
    at.kept.parent.write_text("no folder")
    assert len(step_of(at.path, at.kept)) == len(ROWS)


def test_a_row_of_many_mebibytes_and_very_many_parts(tmp_path: Path) -> None:
    long = answer("a", 0, "x" * 5_000_000, 1.0, **{f"part{n}": 1.0 for n in range(500)})
    at = place(tmp_path, 1, [long, answer("a", 1, "y", 0.0)])
    step = step_of(at.path, at.kept)
    assert (step.characters.tolist(), len(step.parts)) == ([5_000_000, 1], 20)
    [one, _] = page_of(step, Question(of=ANSWERS)).answers
    assert (one.length, len(one.text)) == (5_000_000, 200)


def test_the_advantage_and_its_mean_over_tokens(tmp_path: Path) -> None:
    """One half by its deviation, which is that of a sample; the longer answer weighs more."""
    step = step_of(place(tmp_path, 1, COUNTED).path)
    found = advantages(step, Method("grpo"))
    assert found.values is not None
    unit = 0.5 / (math.sqrt(0.5) + 1e-6)
    assert found.values.tolist() == pytest.approx([unit, -unit, 0, 0])
    assert mean_of(found.values, step) == pytest.approx((2 - 8) * unit / 14)
    check = check_of(step, Method("grpo"), (2 - 8) * unit / 14 + 1e-6)
    assert (check.agrees, check.by_tokens, check.worst) == (True, True, None)
    assert not check_of(step, Method("grpo"), 0.3).agrees


ODD = 0.0560341477394104  # torch's, of eight scores of 0.7 as numbers of 32 bits
EVEN = [counted("a", n, 0.699999988079071, 2, trainyard_advantage=ODD) for n in range(8)]


def told(group: str, by: float) -> list[dict[str, Any]]:
    """A wrong and a right answer, whose advantages are off by so much."""
    right = 0.5 / (math.sqrt(0.5) + 1e-6)
    return [
        counted(group, n, n, 2, trainyard_advantage=side * right + by)
        for n, side in ((0, -1), (1, 1))
    ]


def test_the_rounding_of_a_group_without_deviation_is_no_difference(tmp_path: Path) -> None:
    step = step_of(write_lines(tmp_path / "1.jsonl", [*EVEN, *told("b", 0.0)]))
    check = check_of(step, Method("grpo"), ODD * 8 / 10)
    assert check.rounded == pytest.approx(ODD)
    assert (check.mean, check.agrees, check.each_agrees, check.is_rounded) == (0, True, True, True)
    assert not check_of(step, Method("grpo"), 3 * ODD).agrees
    centred = check_of(step, Method("grpo", by_deviation=False), ODD * 8 / 10)
    assert (centred.agrees, centred.each_agrees, centred.is_rounded) == (False, False, False)


def test_what_rounding_explains_of_one_group_it_does_not_of_another(tmp_path: Path) -> None:
    step = step_of(write_lines(tmp_path / "1.jsonl", [*EVEN, *told("b", 0.05)]))
    check = check_of(step, Method("grpo"), None)
    assert check.worst == pytest.approx(0.05)
    assert not check.each_agrees
    # The mean of ones is exact.
    ones = [counted("a", n, 1, 2, trainyard_advantage=0.05) for n in range(8)]
    check = check_of(step_of(write_lines(tmp_path / "2.jsonl", ones)), Method("grpo"), 0.05)
    assert (check.agrees, check.each_agrees, check.is_rounded) == (False, False, False)


def test_without_tokens_all_answers_weigh_the_same(tmp_path: Path) -> None:
    step = step_of(write_lines(tmp_path / "1.jsonl", ROWS))
    check = check_of(step, Method("grpo", by_deviation=False), None)
    assert (check.by_tokens, check.differs_by) == (False, None)
    # A single answer is compared with nothing.
    assert check.mean == pytest.approx(0.25 / 5)


def test_an_answer_of_several_outputs_has_one_advantage(tmp_path: Path) -> None:
    """GRPO takes the score of the last output, and gives the others the same."""
    turns = [
        answer("a", 0, "call", 0.0) | {"uid": "a_0_1"},
        answer("a", 0, "first", 0.9) | {"uid": "a_0_0"},
        answer("a", 1, "other", 1.0),
    ]
    step = step_of(write_lines(tmp_path / "1.jsonl", turns))
    found = advantages(step, Method("grpo", by_deviation=False)).values
    assert found is not None
    assert found.tolist() == pytest.approx([-0.5, -0.5, 0.5])


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (Method("gae"), "critic's values, which are not in the file"),
        (Method("remax"), "a greedy answer, which is not in the file"),
        (Method("grpo", has_kl=True), "The KL penalty in the reward is not in the file."),
        (Method("opo"), "opo counts tokens, and the file has no counts."),
        (Method("own"), "does not know how own computes it"),
        (Method(), "does not know how this run computes it"),
    ],
)
def test_an_advantage_that_cannot_be_computed_says_why(
    tmp_path: Path, method: Method, why: str
) -> None:
    step = step_of(write_lines(tmp_path / "1.jsonl", ROWS))
    assert why in advantages(step, method).why
    assert check_of(step, method, 0.0).mean is None


def test_what_the_node_wrote_down_is_compared(tmp_path: Path) -> None:
    rows = [counted("a", n, n, 1, trainyard_advantage=n - 0.4) for n in (0, 1)]
    step = step_of(write_lines(tmp_path / "1.jsonl", rows))
    assert check_of(step, Method("grpo", False), 0.1).worst == pytest.approx(0.1)
    of_ppo = check_of(step, Method("gae"), 0.1)
    assert (of_ppo.is_recomputed, of_ppo.is_recorded, of_ppo.agrees) == (False, True, True)


def answers(step: Step, **asked: Any) -> list[Answer]:
    return [*page_of(step, Question(of=ANSWERS, **asked), About(8), Method("grpo")).answers]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["a0", "a1", "b0", "b1"]),
        ({"low": 0.5}, ["a0", "b0", "b1"]),
        ({"longest": 2}, ["a0", "b1"]),
        ({"only": "correct"}, ["a0"]),
        ({"only": "wrong"}, ["a1", "b0", "b1"]),
        ({"only": "cut"}, ["a1"]),
        ({"only": "empty"}, ["b1"]),
        ({"only": "unscored"}, []),
        ({"only": "flat"}, ["b0", "b1"]),
        ({"part": "none"}, []),
        ({"words": "what is b"}, ["b0", "b1"]),
        ({"sort": "-advantage"}, ["a0", "b0", "b1", "a1"]),
        ({"sort": "length"}, ["b1", "a0", "b0", "a1"]),
        ({"sort": "-repetition"}, ["a1", "a0", "b0", "b1"]),
        ({"sort": "part:none"}, ["a0", "a1", "b0", "b1"]),
    ],
)
def test_answers_are_found_and_sorted(
    tmp_path: Path, asked: dict[str, Any], found: list[str]
) -> None:
    step = step_of(write_lines(tmp_path / "1.jsonl", COUNTED))
    names = {(one.prompt, one.score, one.length): one for one in answers(step, **asked)}
    shown = [
        name
        for prompt, _, length in names
        for name, row in zip(("a0", "a1", "b0", "b1"), COUNTED, strict=True)
        if (row["input"], row["trainyard_tokens"]) == (prompt, length)
    ]
    assert shown == found


def test_answers_by_a_part_of_the_reward(tmp_path: Path) -> None:
    rows = [answer("a", n, "x", 0.2, fmt=n / 4, acc=n > 2, why="text") for n in range(4)]
    step = step_of(write_lines(tmp_path / "1.jsonl", rows))
    assert [*step.parts] == ["fmt", "acc"]
    shown = answers(step, part="fmt", part_low=0.25, sort="-part:fmt")
    assert [dict(one.parts)["fmt"] for one in shown] == [0.75, 0.5, 0.25]
    assert [dict(one.parts)["acc"] for one in answers(step, only="correct")] == [1.0]


def test_prompts_that_changed_since_the_step_before(tmp_path: Path) -> None:
    before = step_of(write_lines(tmp_path / "1.jsonl", [answer("a", 0, "x", 0.5), ROWS[2]]))
    now = step_of(write_lines(tmp_path / "2.jsonl", [answer("a", 0, "x", 0.75), *ROWS[2:]]))
    change = changes(Figures(now), Figures(before))
    assert change[:2].tolist() == [0.25, 0.0]
    assert math.isnan(change[2])
    page = page_of(now, Question(only="changed"), before=before)
    assert [(one.text, one.change) for one in page.prompts] == [("what is a?", 0.25)]
    empty = step_of(write_lines(tmp_path / "3.jsonl", []))
    assert np.isnan(changes(Figures(now), Figures(empty))).all()


def test_secrets_are_neither_shown_nor_found(tmp_path: Path) -> None:
    rows = [answer("a", 0, "my key is hunter22!", 1.0, said="hunter22") | {"gts": "hunter22"}]
    step, about = step_of(write_lines(tmp_path / "1.jsonl", rows)), About(secrets=["hunter22"])
    assert page_of(step, Question(words="hunter2"), about).matching == 0
    [one] = page_of(step, Question(of=ANSWERS, words="key is ****"), about).answers
    assert one.text == "my key is ********!"
    found = answers_of(step, one.key, about)
    assert found is not None
    assert "hunter" not in repr(found)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("a b c d e f g h", 0.0),
        ("a b c d a b c d", 0.2),
        ("no " * 13, 0.9),
        ("too short text here", None),
        ("", None),
    ],
)
def test_repetition_is_the_share_of_runs_of_four_words_that_were_there(
    text: str, share: float | None
) -> None:
    found = repetition(text)
    assert math.isnan(found) if share is None else found == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("plain", [("user", [("text", "plain")])]),
        ("", [("user", [("text", "")])]),
        (
            "system\nBe brief.\nuser\n2+2?\nassistant\n",
            [("system", [("text", "Be brief.")]), ("user", [("text", "2+2?")])],
        ),
        (
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\nYes",
            [("user", [("text", "Hi")]), ("assistant", [("thinking", "hm"), ("text", "Yes")])],
        ),
        ("hm</think>So", [("user", [("thinking", "hm"), ("text", "So")])]),
        ("a <think>cut off", [("user", [("text", "a "), ("thinking", "cut off")])]),
        (
            '<tool_call>{"n": 1}</tool_call>\nuser\n<tool_response>7</tool_response>\n'
            "model\nIt is 7",
            [
                ("user", [("tool call", '{"n": 1}')]),
                ("user", [("tool answer", "7")]),
                ("assistant", [("text", "It is 7")]),
            ],
        ),
        ("the user\nsays", [("user", [("text", "the user\nsays")])]),
    ],
)
def test_a_text_is_read_as_a_conversation(text: str, turns: Any) -> None:
    found = turns_of(text, "user")
    assert [(one.role, [(part.kind, part.text) for part in one.parts]) for one in found] == turns


def test_a_run_over_its_steps(tmp_path: Path) -> None:
    places = [place(tmp_path, 1, COUNTED), place(tmp_path, 2, [counted("a", 0, 3.0, 8, acc=1)])]
    found = spread_of(places)
    assert (found.is_whole, found.unit, found.parts) == (True, "tokens", ["acc"])
    first, last = found.rows
    assert (first.answers, first.prompts, first.flat, first.mean) == (4, 2, 1, 0.5)
    assert (last.low, last.high, last.longest, last.parts) == (3.0, 3.0, 8.0, {"acc": 1.0})
    scores, lengths, acc = found.maps
    assert (scores.name, scores.low, scores.high) == ("score", 0.0, 3.0)
    assert [[cell.count for cell in column.cells] for column in scores.columns] == [[1, 2, 1], [1]]
    assert scores.line == "5,80.0 15,0.0"
    assert (lengths.name, acc.name, acc.low, acc.high) == ("tokens", "acc", 1.0, 1.0)


def test_a_run_of_many_steps_is_counted_a_part_at_a_time(tmp_path: Path) -> None:
    places = [place(tmp_path, step, ROWS) for step in range(3)]
    counts = [len(spread_of(places, patience=-1).rows) for _ in range(4)]
    assert counts == [1, 2, 3, 3]


def test_one_prompt_over_the_steps(tmp_path: Path) -> None:
    places = [place(tmp_path, step, ROWS if step != 2 else ROWS[2:]) for step in (1, 2, 3)]
    step = step_of(places[0].path)
    rows = prompt_over(places, int(step.texts[0]))
    assert [(row.step, row.answers, row.mean) for row in rows] == [(1, 2, 0.5), (3, 2, 0.5)]
    assert rows[1].key == page_of(step, Question()).prompts[0].key


def test_scores_that_no_map_can_hold_have_none(tmp_path: Path) -> None:
    rows = [answer("a", 0, "x", 1.7e308), answer("a", 1, "x", -1.7e308)]
    [lengths] = spread_of([place(tmp_path, 1, rows)]).maps
    assert lengths.name == "characters"
    assert spread_of([]).maps == []
