"""Rows of every common shape become what the trainers read."""

from typing import Any

import pytest

from datasets.formats.columns import unknown_columns
from datasets.formats.mapping import OPTIONS, SHAPES, ColumnMapping, RowProblem, convert
from datasets.formats.shapes import detect

USER = {"role": "user", "content": "2+2?"}
FOUR = {"role": "assistant", "content": "4"}
FIVE = {"role": "assistant", "content": "5"}
SYSTEM = {"role": "system", "content": "Be brief."}
RL = {"data_source": "openai/gsm8k"}


def made(row: dict[str, Any], target: str, shape: str, options: Any = None, **columns: str) -> Any:
    mapping = ColumnMapping(target, shape, columns, options or {})
    assert mapping.problems() == []
    found = convert(row, mapping, 3, 7, "train")
    assert found["extra_info"].items() >= {"index": 3, "line": 7, "split": "train"}.items()
    return {name: value for name, value in found.items() if name != "extra_info"}


def problem(
    row: dict[str, Any], target: str, shape: str, options: Any = None, **columns: str
) -> str:
    with pytest.raises(RowProblem) as raised:
        made(row, target, shape, options, **columns)
    return raised.value.code


def test_messages() -> None:
    row = {"talk": [SYSTEM, USER, FOUR]}
    assert made(row, "sft", "messages", messages="talk") == {"messages": [SYSTEM, USER, FOUR]}


def test_a_dotted_path() -> None:
    row = {"data": {"talk": [USER, FOUR]}}
    assert made(row, "sft", "messages", messages="data.talk") == {"messages": [USER, FOUR]}


def test_a_column_with_a_dot_in_its_name() -> None:
    row = {"data.talk": [USER, FOUR]}
    assert made(row, "sft", "messages", messages="data.talk") == {"messages": [USER, FOUR]}


def test_sharegpt() -> None:
    said = [("system", "Be brief."), ("human", "2+2?"), ("gpt", "4"), ("tool", "x")]
    row = {"c": [{"from": who, "value": what} for who, what in said]}
    turns = [SYSTEM, USER, FOUR, {"role": "tool", "content": "x"}]
    assert made(row, "sft", "sharegpt", conversations="c") == {"messages": turns}


def test_content_in_parts() -> None:
    parts = [{"type": "text", "text": "2+"}, {"type": "text", "text": "2?"}]
    row = {"m": [{"role": "user", "content": parts}, FOUR]}
    assert made(row, "sft", "messages", messages="m") == {"messages": [USER, FOUR]}


@pytest.mark.parametrize(
    ("given", "asked"), [("2 and 2", "Add.\n\n2 and 2"), ("", "Add."), (None, "Add.")]
)
def test_alpaca(given: str | None, asked: str) -> None:
    row = {"instruction": "Add.", "input": given, "output": "4"}
    columns = {"instruction": "instruction", "input": "input", "output": "output"}
    expected = {"messages": [{"role": "user", "content": asked}, FOUR]}
    assert made(row, "sft", "instruction", **columns) == expected


def test_prompt_as_text_or_turns() -> None:
    columns = {"prompt": "p", "response": "r"}
    expected = {"messages": [SYSTEM, USER, FOUR]}
    options = {"system": "Be brief."}
    for prompt in ("2+2?", [USER], [SYSTEM, USER]):
        row = {"p": prompt, "r": "4"}
        assert made(row, "sft", "prompt_response", options, **columns) == expected


def test_a_system_column_goes_before_the_option() -> None:
    row = {"p": "2+2?", "r": "4", "s": "Be brief."}
    columns = {"prompt": "p", "response": "r", "system": "s"}
    found = made(row, "sft", "prompt_response", {"system": "Other."}, **columns)
    assert found["messages"][0] == SYSTEM


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected"),
    [
        ("2+2?", "4", "5"),
        ([USER], [FOUR], [FIVE]),
        (None, [USER, FOUR], [USER, FIVE]),
        ("2+2?", [USER, FOUR], [USER, FIVE]),  # as UltraFeedback has it
    ],
)
def test_preferences(prompt: Any, chosen: Any, rejected: Any) -> None:
    row = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    columns = {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}
    expected = {"prompt": [USER], "chosen": [FOUR], "rejected": [FIVE]}
    assert made(row, "dpo", "preference", **columns) == expected


def test_preferences_that_differ_in_the_last_turn_only() -> None:
    more = {"role": "user", "content": "And 3+3?"}
    row = {"c": [USER, FOUR, more, FOUR], "r": [USER, FOUR, more, FIVE]}
    found = made(row, "dpo", "preference", chosen="c", rejected="r")
    assert found == {"prompt": [USER, FOUR, more], "chosen": [FOUR], "rejected": [FIVE]}


def test_chosen_equal_to_rejected_keeps_its_answer() -> None:
    row = {"c": [USER, FOUR], "r": [USER, FOUR]}
    found = made(row, "dpo", "preference", chosen="c", rejected="r")
    assert found == {"prompt": [USER], "chosen": [FOUR], "rejected": [FOUR]}


def test_preferences_without_a_common_prompt() -> None:
    other = {"role": "user", "content": "3+3?"}
    row = {"c": [USER, FOUR], "r": [other, FIVE]}
    assert problem(row, "dpo", "preference", chosen="c", rejected="r") == "different_prompts"
    half = {"c": [USER, FOUR], "r": "5"}
    assert problem(half, "dpo", "preference", chosen="c", rejected="r") == "different_prompts"
    assert (
        problem({"c": "4", "r": "5"}, "dpo", "preference", chosen="c", rejected="r") == "no_prompt"
    )


@pytest.mark.parametrize(
    ("answer", "extract", "truth"),
    [
        ("Two and two.\n#### 1,234", "auto", "1234"),
        ("Two and two.\n#### 4", "after_hashes", "4"),
        (r"So \boxed{\frac{1}{2}}.", "auto", r"\frac{1}{2}"),
        ("four", "auto", "four"),
        ("a #### b", "whole", "a #### b"),
        (4, "auto", "4"),
    ],
)
def test_question_and_answer(answer: Any, extract: str, truth: str) -> None:
    row = {"question": "2+2?", "answer": answer}
    options = {**RL, "extract": extract, "ability": "math"}
    found = made(row, "rl", "question_answer", options, question="question", answer="answer")
    assert found == {
        "data_source": "openai/gsm8k",
        "prompt": [USER],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": truth},
    }


def test_the_suffix_goes_to_the_question() -> None:
    options = {**RL, "suffix": " Put it after ####.", "system": "Be brief."}
    found = made(
        {"q": "2+2?", "a": "4"}, "rl", "question_answer", options, question="q", answer="a"
    )
    assert found["prompt"] == [SYSTEM, {"role": "user", "content": "2+2? Put it after ####."}]


def test_a_conversation_for_rl_leaves_out_the_answer() -> None:
    found = made({"m": [USER, FOUR]}, "rl", "messages", RL, messages="m")
    assert found["prompt"] == [USER]
    assert found["reward_model"] == {"style": "rule", "ground_truth": "4"}


def test_verl_rl() -> None:
    row = {"prompt": [USER], "reward_model": {"style": "rule", "ground_truth": 4}, "s": "math"}
    columns = {"prompt": "prompt", "reward_model": "reward_model", "data_source": "s"}
    found = made(row, "rl", "verl_rl", **columns)
    assert found["reward_model"] == {"style": "rule", "ground_truth": "4"}
    row["reward_model"] = {"style": "rule", "ground_truth": 0}
    assert made(row, "rl", "verl_rl", **columns)["reward_model"]["ground_truth"] == "0"


def test_kept_columns() -> None:
    mapping = ColumnMapping(
        "sft", "prompt_response", {"prompt": "p", "response": "r"}, {"keep": "level, meta.id"}
    )
    row = {"p": "2+2?", "r": "4", "level": 2, "meta": {"id": "x"}}
    extra = convert(row, mapping, 0, 1, "val")["extra_info"]
    assert extra == {"index": 0, "line": 1, "split": "val", "level": 2, "meta.id": "x"}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"p": "x"}, "missing_column"),
        ({"p": "x", "r": ""}, "no_answer"),
        ({"p": " ", "r": "y"}, "no_prompt"),
        ({"p": {"a": 1}, "r": "y"}, "wrong_type"),
        ({"p": [], "r": "y"}, "no_messages"),
        ({"p": [{"role": "alien", "content": "x"}], "r": "y"}, "unknown_role"),
        ({"p": ["x"], "r": "y"}, "wrong_type"),
        ({"p": [USER, FOUR], "r": "y"}, "no_prompt"),
        ({"p": [{"role": "user", "content": 5}], "r": "y"}, "wrong_type"),
        ({"p": [{"role": "user", "content": [{"type": "image"}]}], "r": "y"}, "wrong_type"),
    ],
)
def test_rows_that_do_not_convert(row: dict[str, Any], code: str) -> None:
    assert problem(row, "sft", "prompt_response", prompt="p", response="r") == code


def test_no_answer_and_no_truth() -> None:
    assert problem({"m": [USER]}, "sft", "messages", messages="m") == "no_answer"
    assert problem({"m": [USER]}, "rl", "messages", RL, messages="m") == "missing_truth"
    row = {"q": "x", "a": "no hashes"}
    options = {**RL, "extract": "after_hashes"}
    assert (
        problem(row, "rl", "question_answer", options, question="q", answer="a") == "missing_truth"
    )


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (ColumnMapping("sft", "x"), "There is no shape 'x'"),
        (ColumnMapping("dpo", "text"), "can become sft"),
        (ColumnMapping("sft", "text"), "Choose the column for: Text"),
        (ColumnMapping("sft", "text", {"text": "t", "y": "z"}), "no place for: y"),
        (ColumnMapping("sft", "text", {"text": "t"}, {"z": "1"}), "There is no option z"),
        (ColumnMapping("sft", "text", {"text": "t"}, {"style": "x"}), "one of rule, model"),
        (ColumnMapping("sft", "text", {"text": "t"}, {"keep": "line"}), "field line of its own"),
        (ColumnMapping("rl", "messages", {"messages": "m"}), "RL needs a data source"),
    ],
)
def test_mappings_that_cannot_be_used(mapping: ColumnMapping, said: str) -> None:
    assert any(said in problem for problem in mapping.problems())
    assert ColumnMapping.from_json(mapping.to_json()) == mapping


@pytest.mark.parametrize(
    ("row", "shape", "target"),
    [
        ({"messages": [USER, FOUR], "id": 1}, "messages", "sft"),
        ({"messages": [USER, FOUR]}, "verl_sft", "sft"),
        ({"prompt": "x", "completion": "y"}, "prompt_response", "sft"),
        ({"instruction": "x", "input": "", "output": "y"}, "instruction", "sft"),
        ({"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}]},
         "sharegpt", "sft"),
        ({"prompt": "x", "chosen": "y", "rejected": "z"}, "preference", "dpo"),
        ({"chosen": [USER, FOUR], "rejected": [USER, FIVE]}, "preference", "dpo"),
        ({"question": "x", "answer": "so\n#### 4"}, "question_answer", "rl"),
        ({"problem": "x", "solution": r"so \boxed{4}"}, "question_answer", "rl"),
        ({"prompt": [USER], "reward_model": {"style": "rule", "ground_truth": "4"},
          "data_source": "s"}, "verl_rl", "rl"),
        ({"text": "x"}, "text", "sft"),
    ],
)  # fmt: skip
def test_shapes_are_seen(row: dict[str, Any], shape: str, target: str) -> None:
    best = detect([row] * 3)[0]
    assert (best.shape, best.mapping.target) == (shape, target)
    assert best.mapping.problems() == []
    assert convert(row, best.mapping, 0, 0, "")


def test_gsm8k_is_known_by_its_hashes() -> None:
    best = detect([{"question": "x", "answer": "so\n#### 4"}])[0]
    assert best.mapping.options == {"extract": "after_hashes"}
    assert best.mapping.columns["data_source"] == "=openai/gsm8k"


def test_nothing_fits() -> None:
    assert detect([]) == []
    assert detect([{"a": 1, "b": 2}]) == []


def test_rows_that_do_not_convert_lower_the_confidence() -> None:
    good, bad = {"prompt": "x", "response": "y"}, {"prompt": "x", "response": ""}
    assert detect([good] * 4)[0].confidence > detect([good, bad] * 2)[0].confidence


def test_every_shape_and_option_has_words() -> None:
    assert all(shape.label and shape.roles and shape.targets for shape in SHAPES.values())
    assert all(option.label and option.help for option in OPTIONS.values())


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("good", "bad"),
        ("Good Answer", "Bad Answer"),
        ("response-chosen", "response-rejected"),
        ("chosen_response", "rejected_response"),
        ("preferred_output", "non_preferred_output"),
        ("winner", "loser"),
        ("positive", "negative"),
    ],
)
def test_a_better_and_a_worse_answer_are_preferences(better: str, worse: str) -> None:
    best = detect([{"prompt": "2+2?", better: "4", worse: "5"}] * 3)[0]
    assert (best.shape, best.mapping.target, best.fits) == ("preference", "dpo", 1.0)
    columns = {"prompt": "prompt", "chosen": better, "rejected": worse}
    assert best.mapping.columns == columns


def test_answers_as_single_turns_are_preferences() -> None:
    talk = [{"from": "human", "value": "2+2?"}]
    answers = {name: {"from": "gpt", "value": name} for name in ("chosen", "rejected")}
    best = detect([{"conversations": talk, **answers}])[0]
    assert (best.shape, best.fits) == ("preference", 1.0)


def test_what_every_row_has_stands_in_place_of_a_column() -> None:
    columns = {"question": "q", "answer": "a", "data_source": "=my/sums", "system": "=Be brief."}
    found = made({"q": "2+2?", "a": "4"}, "rl", "question_answer", **columns)
    assert found["data_source"] == "my/sums"
    assert found["prompt"] == [SYSTEM, USER]
    thinks = {"messages": "m", "enable_thinking": "=false"}
    assert made({"m": [USER, FOUR]}, "sft", "messages", **thinks)["enable_thinking"] is False
    # A column that is really called so comes first.
    odd = {"q": "2+2?", "a": "4", "=my/sums": "other"}
    assert made(odd, "rl", "question_answer", **columns)["data_source"] == "other"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"question": "=x", "answer": "a"}, "Question takes a column"),
        ({"question": "q", "answer": "a", "system": "="}, "System prompt: write the value"),
    ],
)
def test_a_constant_that_cannot_be(columns: dict[str, str], said: str) -> None:
    mapping = ColumnMapping("sft", "question_answer", columns)
    assert any(said in problem for problem in mapping.problems())


def test_columns_that_no_row_has() -> None:
    columns = {"question": "q", "answer": "meta.a", "system": "s", "ability": "=math"}
    mapping = ColumnMapping("rl", "question_answer", columns, {"keep": "id, meta.x, gone"})
    found = unknown_columns(mapping, ["q", "meta", "id"])
    assert found.keys() == {"system", "keep"}
    assert found["keep"] == "There is no column gone."
    assert unknown_columns(mapping, [str(n) for n in range(500)]) == {}
