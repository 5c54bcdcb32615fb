from pathlib import Path

import pytest

from datasets.formats.parquet import ParquetFacts, column_problem, read_facts
from tests.factories import write_table

TALK = "list<element: struct<content: string, role: string>>"


def test_facts(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.parquet", {"n": [1, 2, 3], "text": ["a", "b", None]})
    assert read_facts(path) == ParquetFacts({"n": "int64", "text": "string"}, 3)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"There is no file .*/a\.parquet\."):
        read_facts(tmp_path / "a.parquet")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a folder; a parquet file is needed\."):
        read_facts(tmp_path)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1" + b"\0" * 20 + b"PAR1"])
def test_not_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a parquet file: "):
        read_facts(path)


@pytest.mark.parametrize(
    ("kind", "columns", "problem"),
    [
        ("sft", ["messages"], None),
        ("sft", ["messages", "tools"], None),
        ("rl", ["data_source", "prompt", "reward_model", "x"], None),
        ("sft", ["text"], "No column messages. SFT reads messages; the file has: text."),
        ("sft", [], "No column messages. SFT reads messages; the file has: none."),
        (
            "rl",
            ["prompt"],
            "No column data_source, reward_model. "
            "RL reads data_source, prompt, reward_model; the file has: prompt.",
        ),
    ],
)
def test_columns(kind: str, columns: list[str], problem: str | None) -> None:
    facts = ParquetFacts(dict.fromkeys(columns, TALK), 1)
    assert column_problem(kind, facts) == problem


def test_messages_must_be_lists() -> None:
    facts = ParquetFacts({"messages": "string"}, 1)
    problem = "Column messages holds string; verl reads a list of {role, content} there."
    assert column_problem("sft", facts) == problem


def test_a_column_may_have_another_name() -> None:
    facts = ParquetFacts({"talk": TALK}, 1)
    assert column_problem("sft", facts, {"messages": "talk"}) is None
