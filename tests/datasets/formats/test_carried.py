"""What rows hold beside text comes through to the parquet, or is named."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets.formats.check import check
from datasets.formats.clean import clean_version
from datasets.formats.codes import CODES
from datasets.formats.compile import Compiled, Split, compile_version
from datasets.formats.mapping import ColumnMapping, RowProblem, convert
from datasets.formats.shapes import detect
from datasets.formats.source import import_file

USER = {"role": "user", "content": "Weather?"}
SUNNY = {"role": "assistant", "content": "Sunny."}
TALK = ColumnMapping("sft", "messages", {"messages": "messages", "tools": "tools"})


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def agent_row(number: int) -> dict[str, Any]:
    """A call of one of two tools, whose arguments have different names."""
    made = call("weather", city="Paris") if number % 2 else call("sum", numbers=[1, number])
    turns = [
        {"role": "user", "content": f"Question {number}?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", **made}]},
        {"role": "tool", "content": "21", "tool_call_id": "c1", "name": made["function"]["name"]},
        {"role": "assistant", "content": "It is 21.", "reasoning_content": "Easy."},
    ]
    parameters = {"type": "object", "properties": {"city" if number % 2 else "numbers": {}}}
    return {"messages": turns, "tools": [{"name": "a tool", "parameters": parameters}]}


def compiled(folder: Path, rows: list[dict[str, Any]], mapping: ColumnMapping) -> Compiled:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(path, folder / "source")
    return compile_version(folder / "source/rows.parquet", folder / "version", mapping, Split(2, 1))


def table(folder: Path) -> pa.Table:
    parts = [pq.read_table(folder / f"version/{name}.parquet") for name in ("train", "val")]
    assert parts[0].schema == parts[1].schema
    return pa.concat_tables(parts)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table(folder).to_pylist()
    return sorted(rows, key=lambda row: int(row["extra_info"]["line"]))


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_empty(inner) for k, inner in value.items() if inner is not None}
    return [without_empty(inner) for inner in value] if isinstance(value, list) else value


def test_tool_calls_tools_and_reasoning_come_through(tmp_path: Path) -> None:
    given = [agent_row(number) for number in range(24)]
    made = compiled(tmp_path, given, TALK)
    assert (made.rows_train, made.rows_val, made.lost) == (22, 2, {})
    for row, was in zip(rows_of(tmp_path), given, strict=True):
        turns = [{**turn, "content": turn["content"] or ""} for turn in was["messages"]]
        assert without_empty(row["messages"]) == turns
        assert without_empty(row["tools"])[0]["parameters"]["type"] == "object"
    calls = table(tmp_path).schema.field("messages").type.value_type.field("tool_calls").type
    arguments = calls.value_type.field("function").type.field("arguments").type
    assert arguments == pa.struct([("numbers", pa.list_(pa.int64())), ("city", pa.string())])


def test_the_same_again_has_the_same_bytes(tmp_path: Path) -> None:
    given = [agent_row(number) for number in range(24)]
    assert compiled(tmp_path, given, TALK) == compiled(tmp_path, given, TALK)


def test_what_is_not_carried_is_named_and_counted(tmp_path: Path) -> None:
    given = [{**agent_row(n), "id": n, "nothing": None, "score": 0} for n in range(24)]
    given[0]["messages"][0]["timestamp"] = "now"
    mapping = ColumnMapping("sft", "messages", {"messages": "messages"})
    made = compiled(tmp_path, given, mapping)
    assert made.lost == {"tools": 24, "id": 24, "score": 24, "timestamp": 1}
    rl = ColumnMapping(
        "rl", "messages", {"messages": "messages", "tools": "tools"}, {"data_source": "mine"}
    )
    for row in given:
        row["messages"] = row["messages"][:1] + row["messages"][3:]
    assert compiled(tmp_path, given, rl).lost == {
        "tools": 24, "id": 24, "score": 24, "reasoning_content": 24, "timestamp": 1
    }  # fmt: skip


def test_the_proposal_says_what_fits_and_what_is_lost() -> None:
    best = detect([{**agent_row(n), "id": n} for n in range(4)])[0]
    assert best.mapping.columns == {"messages": "messages", "tools": "tools"}
    assert (best.fits, best.lost) == (1.0, {"id": 4})


def test_calls_and_tools_as_text(tmp_path: Path) -> None:
    given = [agent_row(1) for _ in range(5)]
    for number, row in enumerate(given):
        row["messages"][0]["content"] = f"Question {number}?"
        row["tools"] = json.dumps(row["tools"])
        row["messages"][1]["tool_calls"] = json.dumps(row["messages"][1]["tool_calls"])
    compiled(tmp_path, given, TALK)
    row = rows_of(tmp_path)[0]
    assert row["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"city": "Paris"}
    assert row["tools"][0]["name"] == "a tool"


def test_a_row_without_tools_has_an_empty_list(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = [agent_row(number) for number in range(6)]
    del given[3]["tools"]
    compiled(tmp_path, given, TALK)
    assert rows_of(tmp_path)[3]["tools"] == []


@pytest.mark.parametrize(
    ("turn", "code"),
    [
        ({"function_call": {"name": "x"}}, "not_carried"),
        ({"tool_calls": "not JSON"}, "not_carried"),
        ({"tool_calls": [1]}, "not_carried"),
        ({"weight": 0.5}, "not_carried"),
        ({"train": "no"}, "not_carried"),
    ],
)
def test_turns_that_cannot_be_carried(turn: dict[str, Any], code: str) -> None:
    with pytest.raises(RowProblem) as raised:
        convert({"messages": [USER, {**SUNNY, **turn}]}, TALK, 0, 1, "")
    assert raised.value.code == code
    assert code in CODES


def test_rows_whose_types_differ_are_left_out(tmp_path: Path) -> None:
    given = [agent_row(1) for _ in range(9)]
    for number, row in enumerate(given):
        row["messages"][0]["content"] = f"Question {number}?"
    given[4]["messages"][1]["tool_calls"][0]["function"]["arguments"]["city"] = 75
    made = compiled(tmp_path, given, TALK)
    assert made.problem_counts == {"mixed_types": 1}
    assert made.examples[0]["line"] == 5
    assert made.examples[0]["message"] == (
        "messages[].tool_calls[].function.arguments.city is a number (int) here and text in "
        "earlier rows."
    )


def test_whole_numbers_stay_whole_in_arguments(tmp_path: Path) -> None:
    given = [agent_row(1) for _ in range(9)]
    for number, row in enumerate(given):
        row["messages"][0]["content"] = f"Question {number}?"
        arguments = {"n": 2.5 if number == 4 else 2}
        row["messages"][1]["tool_calls"][0]["function"]["arguments"] = arguments
    assert compiled(tmp_path, given, TALK).problem_counts == {"mixed_types": 1}


def test_marks_of_turns_come_through(tmp_path: Path) -> None:
    given = [
        {"messages": [{**USER, "content": str(n)}, {**SUNNY, "weight": 0}, USER, SUNNY]}
        for n in range(6)
    ]
    compiled(tmp_path, given, TALK)
    assert [turn["weight"] for turn in rows_of(tmp_path)[0]["messages"]] == [None, 0, None, None]


def test_where_nothing_may_be_trained_on() -> None:
    for mark in ({"weight": 0}, {"train": False}, {"loss": False}, {"trainable": 0}):
        row = {"messages": [USER, {**SUNNY, **mark}]}
        with pytest.raises(RowProblem, match="nothing to learn"):
            convert(row, TALK, 0, 1, "")
    pair = {"prompt": "x", "chosen": [{**SUNNY, "weight": 0}], "rejected": "z"}
    columns = {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}
    with pytest.raises(RowProblem, match="DPO trains on both"):
        convert(pair, ColumnMapping("dpo", "preference", columns), 0, 1, "")


def rl_row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": f"Question {number}?"}],
        "data_source": "searchR1_nq",
        "ability": "fact",
        "reward_model": {"style": "rule", "ground_truth": {"target": ["Paris", "paris"]}},
        **more,
    }


def test_verls_own_rows_come_through(tmp_path: Path) -> None:
    kwargs = {"search": {"create_kwargs": {"ground_truth": "Paris"}}}
    info = {"need_tools_kwargs": True, "tools_kwargs": kwargs, "hard": 1}
    given = [
        rl_row(n, agent_name="tool_agent", extra_info={"index": 100 + n, **info}) for n in range(9)
    ]
    given[3]["extra_info"]["hard"] = 0.5
    mapping = detect(given)[0].mapping
    assert mapping.shape == "verl_rl"
    assert compiled(tmp_path, given, mapping).lost == {}
    row = rows_of(tmp_path)[2]
    assert row["reward_model"] == {
        "style": "rule",
        "ground_truth": {"target": ["Paris", "paris"]},
    }
    assert row["agent_name"] == "tool_agent"
    assert row["extra_info"] | {"split": ""} == {
        "index": 102, "line": 3, "split": "", **info, "hard": 1.0
    }  # fmt: skip
    version = tmp_path / "version"
    report = check(version / "train.parquet", version / "val.parquet", "rl")
    assert report.faults == {}


def test_a_truth_of_another_kind_is_left_out(tmp_path: Path) -> None:
    given = [rl_row(n) for n in range(9)]
    given[3]["reward_model"]["ground_truth"] = "Paris"
    given[4]["extra_info"] = "text"
    made = compiled(tmp_path, given, detect(given)[0].mapping)
    assert made.problem_counts == {"mixed_types": 1, "not_carried": 1}


def test_a_structured_truth_from_a_column() -> None:
    columns = {"prompt": "q", "response": "a", "truth": "t"}
    mapping = ColumnMapping("rl", "prompt_response", columns, {"data_source": "mine"})
    row = convert({"q": "x", "a": "y", "t": {"target": ["z"]}}, mapping, 0, 1, "")
    assert row["reward_model"]["ground_truth"] == {"target": ["z"]}


def picture_rows(image: Any) -> list[dict[str, Any]]:
    return [
        {"problem": f"<image>Count {n}.", "answer": str(n), "images": [image]} for n in range(9)
    ]


def test_images_come_through_as_bytes(tmp_path: Path) -> None:
    raw = b"\x89PNG\x00\xff"
    pq.write_table(
        pa.Table.from_pylist(picture_rows({"bytes": raw, "path": None})), tmp_path / "a.parquet"
    )
    import_file(tmp_path / "a.parquet", tmp_path / "source")
    mapping = ColumnMapping(
        "rl", "question_answer", {"question": "problem", "answer": "answer", "images": "images"},
        {"data_source": "hiyouga/geometry3k"},
    )  # fmt: skip
    source = tmp_path / "source/rows.parquet"
    made = compile_version(source, tmp_path / "version", mapping, Split(2))
    assert made.lost == {}
    assert rows_of(tmp_path)[0]["images"] == [{"bytes": raw}]


def test_images_by_path() -> None:
    columns = {"question": "problem", "answer": "answer", "images": "images"}
    mapping = ColumnMapping("sft", "question_answer", columns)
    row = convert(picture_rows("/data/a.png")[0], mapping, 0, 1, "")
    assert row["images"] == [{"image": "/data/a.png"}]


@pytest.mark.parametrize(
    ("change", "columns", "code"),
    [
        ({}, {}, "media"),
        ({"problem": "no mark"}, {"images": "images"}, "media"),
        ({"problem": "<image><image>"}, {"images": "images"}, "media"),
        ({"images": [5]}, {"images": "images"}, "not_carried"),
        ({"images": [{"bytes": "not base64"}]}, {"images": "images"}, "not_carried"),
    ],
)
def test_images_that_do_not_fit(change: Any, columns: dict[str, str], code: str) -> None:
    row = {**picture_rows("a.png")[0], **change}
    mapping = ColumnMapping(
        "sft", "question_answer", {"question": "problem", "answer": "answer", **columns}
    )
    with pytest.raises(RowProblem) as raised:
        convert(row, mapping, 0, 1, "")
    assert raised.value.code == code


def test_a_mark_without_images_is_text() -> None:
    columns = {"question": "q", "answer": "a"}
    row = {"q": "What is <image> in HTML?", "a": "Nothing."}
    assert convert(row, ColumnMapping("sft", "question_answer", columns), 0, 1, "")


def test_calls_are_no_empty_turns_and_differ_by_what_they_call(tmp_path: Path) -> None:
    given = [agent_row(1) for _ in range(9)]
    for number, row in enumerate(given):
        row["messages"][0]["content"] = "Weather?" if number < 2 else f"Question {number}?"
        arguments = row["messages"][1]["tool_calls"][0]["function"]["arguments"]
        arguments["city"] = f"City {number}"
    compiled(tmp_path, given, TALK)
    version = tmp_path / "version"
    report = check(version / "train.parquet", version / "val.parquet", "sft")
    assert {"empty_turn", "duplicate", "role_order"} & report.faults.keys() == set()


def test_cleaning_keeps_what_is_carried(tmp_path: Path) -> None:
    given = [agent_row(number % 8) for number in range(24)]
    compiled(tmp_path, given, TALK)
    version = tmp_path / "version"
    paths = (version / "train.parquet", version / "val.parquet")
    made = clean_version(*paths, tmp_path / "clean", "sft", ["duplicate"])
    assert made.problem_counts == {"duplicate": 16}
    assert pq.read_schema(tmp_path / "clean/train.parquet") == pq.read_schema(paths[0])
