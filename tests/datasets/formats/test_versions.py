"""From an import to a version, its report, its clean version, its rows and distributions."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datasets.formats.check import CODES, check
from datasets.formats.clean import clean_version
from datasets.formats.codes import RowProblem
from datasets.formats.compile import Compiled, Split, compile_version
from datasets.formats.distribution import distribution, fields, lengths_by
from datasets.formats.mapping import ColumnMapping
from datasets.formats.parquet import column_problem, read_facts
from datasets.formats.rows import page, row
from datasets.formats.source import import_file

PAIR = ColumnMapping("sft", "prompt_response", {"prompt": "p", "response": "r"}, {"keep": "n"})
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "while",
    "seven",
    "wizards",
    "boil",
    "a",
    "green",
    "soup",
]


def source(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_file(path, folder / "source")
    return folder / "source/rows.parquet"


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"p": f"Question {n}?", "r": f"Answer {n}.", "n": n} for n in range(count)]


def compiled(folder: Path, rows: list[dict[str, Any]], split: Split | None = None) -> Compiled:
    return compile_version(source(folder, rows), folder / "version", PAIR, split or Split(0.2, 1))


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def both(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return read(folder / "version/train.parquet"), read(folder / "version/val.parquet")


def counts(folder: Path, target: str = "sft", **options: Any) -> dict[str, int]:
    version = folder / "version"
    report = check(version / "train.parquet", version / "val.parquet", target, **options)
    found: dict[str, int] = report.to_json()["counts"]
    return found


def test_a_version(tmp_path: Path) -> None:
    made = compiled(tmp_path, pairs(100))
    train, val = both(tmp_path)
    assert (made.rows_train, made.rows_val, len(train), len(val)) == (80, 20, 80, 20)
    first = train[0]
    assert first["messages"][0]["content"] == f"Question {first['extra_info']['n']}?"
    assert first["extra_info"]["line"] == first["extra_info"]["index"] + 1
    assert {row["extra_info"]["split"] for row in val} == {"val"}
    assert {type(row["extra_info"]["n"]) for row in val} == {int}


def test_the_same_again_is_the_same(tmp_path: Path) -> None:
    one = compiled(tmp_path, pairs(100))
    files = [(tmp_path / f"version/{name}.parquet").read_bytes() for name in ("train", "val")]
    assert compiled(tmp_path, pairs(100)) == one
    assert files == [(tmp_path / f"version/{n}.parquet").read_bytes() for n in ("train", "val")]
    assert compiled(tmp_path, pairs(100), Split(0.2, 2)).sha256 != one.sha256


def test_validation_by_number(tmp_path: Path) -> None:
    assert compiled(tmp_path, pairs(100), Split(7)).rows_val == 7


def test_rows_with_the_same_prompt_stay_together(tmp_path: Path) -> None:
    rows = [{"p": f"Question {n % 10}?", "r": f"Answer {n}.", "n": n} for n in range(100)]
    compiled(tmp_path, rows)
    train, val = ({row["extra_info"]["n"] % 10 for row in part} for part in both(tmp_path))
    assert train
    assert val
    assert not train & val
    assert "overlap" not in counts(tmp_path)


def test_rows_of_a_group_stay_together(tmp_path: Path) -> None:
    rows = [{**row, "doc": {"id": row["n"] // 10}} for row in pairs(100)]
    compiled(tmp_path, rows, Split(0.2, 1, "doc.id"))
    train, val = ({row["extra_info"]["n"] // 10 for row in part} for part in both(tmp_path))
    assert len(val) == 2
    assert not train & val


@pytest.mark.parametrize(
    ("rows", "split", "said"),
    [
        (pairs(10), Split(0), "Validation is a share"),
        (pairs(10), Split(1.5), "Validation is a share"),
        (pairs(10), Split(10), "would leave none to train"),
        (pairs(1), Split(0.5), "none can be set apart"),
        ([{"p": "x", "r": str(n)} for n in range(9)], Split(0.5), "none can be set apart"),
        ([{"p": "x", "q": "y"}], Split(0.5), "None of 1 row .* Line 1: It has no r"),
    ],
)
def test_no_version(tmp_path: Path, rows: list[Any], split: Split, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compiled(tmp_path, rows, split)
    assert not (tmp_path / "version").exists()
    assert not list(tmp_path.glob(".version.*"))


def test_rows_that_do_not_convert_are_kept_for_review(tmp_path: Path) -> None:
    made = compiled(tmp_path, [*pairs(10), {"p": "x", "r": ""}, {"p": "x"}])
    assert made.problem_counts == {"no_answer": 1, "missing_column": 1}
    removed = read(tmp_path / "version/removed.parquet")
    assert removed[0] == {
        "line": 11, "code": "no_answer", "message": "r is empty.", "json": '{"p":"x","r":""}'
    }  # fmt: skip
    assert set(made.problem_counts) <= set(CODES)


def test_keep_leaves_out_rows(tmp_path: Path) -> None:
    def even(row: dict[str, Any]) -> RowProblem | None:
        return RowProblem("filtered", "Odd.") if row["extra_info"]["n"] % 2 else None

    path = source(tmp_path, pairs(20))
    made = compile_version(path, tmp_path / "version", PAIR, Split(0.2), keep=even)
    assert made.problem_counts == {"filtered": 10}
    assert {row["extra_info"]["n"] % 2 for part in both(tmp_path) for row in part} == {0}


def test_kept_columns_of_mixed_types_are_text(tmp_path: Path) -> None:
    rows = pairs(10)
    rows[3]["n"], rows[4]["n"] = "x", None
    compiled(tmp_path, rows)
    kept = {row["extra_info"]["index"]: row["extra_info"]["n"] for p in both(tmp_path) for row in p}
    assert (kept[2], kept[3], kept[4]) == ("2", "x", None)


def test_cancelling_leaves_the_earlier_version(tmp_path: Path) -> None:
    compiled(tmp_path, pairs(10))
    before = (tmp_path / "version/train.parquet").read_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_version(
            tmp_path / "source/rows.parquet", tmp_path / "version", PAIR, Split(3), progress=stop
        )
    assert (tmp_path / "version/train.parquet").read_bytes() == before
    assert not list(tmp_path.glob(".version.*"))


def turns(*said: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in said]


def test_the_report_finds_faults_of_turns(tmp_path: Path) -> None:
    good = [turns(("user", f"q {n}"), ("assistant", f"a {n}")) for n in range(20)]
    bad = [
        turns(("user", "e"), ("assistant", " ")),
        turns(("user", "x"), ("user", "y"), ("assistant", "z")),
        turns(("assistant", "first"), ("user", "b"), ("assistant", "c")),
        turns(("user", "u"), ("assistant", "v"), ("user", "w")),
    ]
    path = source(tmp_path, [{"m": one} for one in [*good, *bad]])
    mapping = ColumnMapping("sft", "messages", {"messages": "m"})
    compile_version(path, tmp_path / "version", mapping, Split(2))
    found = counts(tmp_path)
    assert found["empty_turn"] == 1
    assert found["role_order"] == 3


def test_the_report_of_rl(tmp_path: Path) -> None:
    mapping = ColumnMapping(
        "rl",
        "verl_rl",
        {"prompt": "prompt", "reward_model": "reward_model", "data_source": "s"},
    )
    rows = [
        {"prompt": turns(("user", f"q {n}")), "s": "openai/gsm8k",
         "reward_model": {"style": "rule", "ground_truth": str(n)}} for n in range(20)
    ]  # fmt: skip
    rows[3]["reward_model"] = {"style": "rule", "ground_truth": ""}
    rows[4]["s"] = "mine"
    rows[5]["s"] = "aime2024"
    compile_version(source(tmp_path, rows), tmp_path / "version", mapping, Split(2))
    assert counts(tmp_path, "rl", known_sources=["openai/gsm8k"]) == {
        "missing_truth": 1, "unknown_source": 1
    }  # fmt: skip
    assert "unknown_source" not in counts(tmp_path, "rl")


def test_the_report_of_dpo(tmp_path: Path) -> None:
    mapping = ColumnMapping("dpo", "preference", {"prompt": "p", "chosen": "c", "rejected": "r"})
    rows = [{"p": f"q {n}", "c": f"good {n}", "r": f"bad {n}"} for n in range(20)]
    rows[7]["r"] = rows[7]["c"]
    compile_version(source(tmp_path, rows), tmp_path / "version", mapping, Split(2))
    assert counts(tmp_path, "dpo") == {"same_answers": 1}


def talks() -> list[dict[str, Any]]:
    """30 talks of their own words, then an exact and a near copy of the first two."""
    rows: list[dict[str, Any]] = [
        {"p": " ".join(f"{word}{n}x{k}" for k in range(5) for word in WORDS), "r": "yes", "n": n}
        for n in range(30)
    ]
    near = rows[1]["p"].rsplit(" ", 1)[0] + " more"
    return [*rows, {**rows[0], "n": 30}, {"p": near, "r": "yes", "n": 31}]


def test_duplicates_and_cleaning(tmp_path: Path) -> None:
    compiled(tmp_path, talks(), Split(3, 4))
    version = tmp_path / "version"
    found = counts(tmp_path)
    assert found["duplicate"] == 1
    assert found["near_duplicate"] == 1
    made = clean_version(
        version / "train.parquet", version / "val.parquet", tmp_path / "clean", "sft",
        ["duplicate", "near_duplicate"],
    )  # fmt: skip
    assert made.problem_counts == {"duplicate": 1, "near_duplicate": 1}
    assert made.rows_train + made.rows_val == 30
    removed = read(tmp_path / "clean/removed.parquet")
    assert {row["code"] for row in removed} == {"duplicate", "near_duplicate"}
    again = check(tmp_path / "clean/train.parquet", tmp_path / "clean/val.parquet", "sft")
    assert again.faults == {}


def test_overlap_goes_from_validation(tmp_path: Path) -> None:
    rows = [{**row, "doc": n} for n, row in enumerate(talks()[:30])]
    rows += [{**rows[0], "r": "another answer", "doc": 99}]
    for seed in range(50):  # a draw that parts the two
        compiled(tmp_path, rows, Split(5, seed, "doc"))
        if counts(tmp_path).get("overlap"):
            break
    version = tmp_path / "version"
    assert counts(tmp_path)["overlap"] == 1
    made = clean_version(
        version / "train.parquet", version / "val.parquet", tmp_path / "clean", "sft", ["overlap"]
    )
    assert (made.rows_val, made.rows_train) == (4, 26)


def test_lengths(tmp_path: Path) -> None:
    compiled(tmp_path, pairs(100))
    version = tmp_path / "version"

    def lengths(rows: list[dict[str, Any]]) -> list[int]:
        return [row["extra_info"]["n"] or -1 for row in rows]

    report = check(
        version / "train.parquet", version / "val.parquet", "sft", lengths=lengths, max_length=90
    )
    assert report.lengths is not None
    assert report.lengths["over"] == 9
    assert report.lengths["dropped_tokens"] == sum(range(1, 10))
    assert report.lengths["percentiles"]["50"] == 50.0
    assert sum(one["count"] for one in report.lengths["histogram"]) == 99
    assert report.faults["template_refused"]["count"] == 1
    examples = report.faults["over_length"]["examples"]
    assert len(examples) == 5
    assert (
        row(version / f"{examples[0]['split']}.parquet", examples[0]["row"])["extra_info"]["line"]
        == examples[0]["line"]
    )
    assert json.loads(json.dumps(report.to_json()))["counts"]["over_length"] == 9


def test_cleaning_refuses(tmp_path: Path) -> None:
    compiled(tmp_path, pairs(10))
    train, val = (tmp_path / f"version/{name}.parquet" for name in ("train", "val"))
    with pytest.raises(ValueError, match="no fault nonsense"):
        clean_version(train, val, tmp_path / "clean", "sft", ["nonsense"])
    with pytest.raises(ValueError, match="Nothing would be left"):
        clean_version(
            train, val, tmp_path / "clean", "sft", ["over_length"],
            lengths=lambda rows: [9] * len(rows), max_length=1,
        )  # fmt: skip
    assert not (tmp_path / "clean").exists()


def test_pages(tmp_path: Path) -> None:
    compiled(tmp_path, pairs(100), Split(1, 1))
    path = tmp_path / "version/train.parquet"
    first = page(path, 0, 10)
    assert (len(first.rows), first.total, first.next_start) == (10, 99, 10)
    last = page(path, 95, 10)
    assert ([number for number, _ in last.rows], last.next_start) == ([95, 96, 97, 98], None)
    assert page(path, 500, 10).rows == []
    with pytest.raises(IndexError):
        row(path, 99)


def test_search_and_filters(tmp_path: Path) -> None:
    compiled(tmp_path, pairs(100), Split(1, 1))
    path = tmp_path / "version/train.parquet"

    def found(search: str = "", *filters: tuple[str, str, str]) -> list[int]:
        return [one["extra_info"]["n"] for _, one in page(path, 0, 1000, search, filters).rows]

    assert found("QUESTION 42?") == [42]
    assert found("%") == []
    assert found("", ("extra_info.n", ">=", "97")) == [97, 98, 99]
    assert found("", ("messages.content", "contains", "answer 42.")) == [42]
    assert found("", ("messages.role", "=", "tool")) == []
    assert len(found("", ("messages.role", "present", ""))) == 99
    assert found("", ("messages.role", "missing", "")) == []
    part = page(path, 0, 3, "question 1")
    assert part.total is None
    assert part.next_start is not None
    assert page(path, part.next_start, 3, "question 1").rows[0][0] == part.next_start


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (("nothing", "=", "1"), "There is no field nothing"),
        (("extra_info.n", "~", "1"), "There is no filter '~'"),
        (("extra_info.n", "=", "x"), "'x' is not a number"),
        (('x"; DROP', "=", "1"), "There is no field"),
    ],
)
def test_filters_that_make_no_sense(tmp_path: Path, one: Any, said: str) -> None:
    compiled(tmp_path, pairs(10))
    with pytest.raises(ValueError, match=said):
        page(tmp_path / "version/train.parquet", 0, 10, "", [one])


def test_rows_of_an_import(tmp_path: Path) -> None:
    path = source(tmp_path, [{"a": {"b'c": n}, "t": "x"} for n in range(10)])
    assert page(path, 8, 5).rows == [
        (8, {"line": 9, "a": {"b'c": 8}, "t": "x"}),
        (9, {"line": 10, "a": {"b'c": 9}, "t": "x"}),
    ]
    assert fields(path) == ["line", "a.b'c", "t"]
    assert [number for number, _ in page(path, 0, 5, "", [("a.b'c", ">", "7")]).rows] == [8, 9]
    assert distribution(path, "t").values == [{"value": "x", "count": 10}]


def test_distributions(tmp_path: Path) -> None:
    compiled(tmp_path, pairs(100), Split(1, 1))
    path = tmp_path / "version/train.parquet"
    assert "messages.role" in fields(path)
    roles = distribution(path, "messages.role")
    assert roles.values == [{"value": "assistant", "count": 99}, {"value": "user", "count": 99}]
    assert (roles.rows, roles.missing, roles.distinct) == (99, 0, 2)
    numbers = distribution(path, "extra_info.n", 4)
    assert sum(one["count"] for one in numbers.histogram) == 99
    with pytest.raises(ValueError, match="There is no field x"):
        distribution(path, "x")
    by_split = lengths_by(path, "extra_info.split", lambda rows: [7] * len(rows))
    assert by_split == [{"value": "train", "rows": 99, "mean": 7.0, "p50": 7.0, "p95": 7.0}]


@pytest.mark.parametrize("target", ["sft", "dpo"])
def test_the_columns_are_those_that_the_trainer_reads(tmp_path: Path, target: str) -> None:
    columns = {"prompt": "p", "chosen": "c", "rejected": "r"}
    mapping = ColumnMapping(target, "preference", columns)
    rows = [{"p": f"q {n}", "c": "good", "r": "bad"} for n in range(9)]
    compile_version(source(tmp_path, rows), tmp_path / "version", mapping, Split(1))
    assert column_problem(target, read_facts(tmp_path / "version/train.parquet")) is None


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    for ask in (lambda: check(path, None, "sft"), lambda: row(path, 0), lambda: fields(path)):
        with pytest.raises(ValueError, match=r"x\.parquet cannot be read"):
            ask()
