import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from datasets.models import Dataset, Version
from tests import factories, tokenizers

pytestmark = pytest.mark.django_db


def data(*argv: str) -> Any:
    out = io.StringIO()
    call_command("dataset", *argv, "--json", stdout=out)
    return json.loads(out.getvalue())


def text(*argv: str) -> str:
    out = io.StringIO()
    call_command("dataset", *argv, stdout=out)
    return out.getvalue()


@pytest.fixture
def rows(home: Path, staff: User) -> str:
    rows = [{"instruction": f"Say {n % 18}", "output": f"{n % 18}."} for n in range(20)]
    return str(factories.write_lines(home / "rows.jsonl", [*rows, "broken {"]))


def test_from_a_file_to_a_clean_version(rows: str) -> None:
    imported = data("import", rows, "--name", "say")
    assert (imported["rows"], imported["facts"]["bad"]) == (20, 1)
    compiled = data("compile", "say", "--val", "4")
    assert (compiled["version"], compiled["target"], compiled["state"]) == ("say@1", "sft", "ready")
    assert compiled["mapping"]["shape"] == "instruction"
    report = data("check", "say")
    assert report["counts"]["duplicate"] == 2
    cleaned = data("clean", "say@1", "--drop", "duplicate")
    assert (cleaned["version"], cleaned["parent"], cleaned["rows_removed"]) == ("say@2", "say@1", 2)
    assert [version["version"] for version in data("list")] == ["say@2", "say@1"]
    assert data("show", "say@1") == compiled
    assert "say@2" in text("list")
    assert "sha256" in text("show", "say")
    assert "Nothing was found" in text("check", "say@2")


def test_rows_that_could_not_be_used_are_named(rows: str) -> None:
    said = text("import", rows, "--name", "say")
    assert "say: 20 rows\n1 could not be read:\nBroken JSON: 1. Mend the line" in said
    assert "line 21: It is not JSON: unexpected character" in said
    columns = ("--map", "instruction=output", "--map", "input=")
    Path(rows).write_text('{"instruction": "a", "output": ""}\n' + Path(rows).read_text())
    text("import", rows, "--name", "say")
    made = text("compile", "say", *columns)
    assert "1 was left out:\nNo prompt: 1. Leave these rows out." in made
    assert "line 1: output is empty." in made


def test_what_is_not_carried_is_named(home: Path, staff: User) -> None:
    rows = [{"instruction": f"Say {n}", "output": "x", "id": n} for n in range(9)]
    data("import", str(factories.write_lines(home / "rows.jsonl", rows)), "--name", "say")
    assert "Not carried into it, by rows: id (9)." in text("compile", "say")
    assert data("show", "say")["lost"] == {"id": 9}


def test_a_check_tells_what_the_template_refuses(home: Path, staff: User, rows: str) -> None:
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('No.') }}{% endif %}"
    model = tokenizers.save(home / "model", refusing + tokenizers.CHATML)
    data("import", rows, "--name", "say")
    data("compile", "say", "--option", "system=Be kind.")
    assert data("check", "say", "--model", str(model))["counts"]["template_refused"] == 20
    assert "Refused by the chat template: 20" in text("check", "say", "--model", str(model))
    assert "No chat template was tried" in text("check", "say")


def test_columns_and_options_by_hand(rows: str) -> None:
    data("import", rows, "--name", "say")
    made = data(
        *("compile", "say", "--shape", "question_answer", "--target", "rl"),
        *("--map", "question=instruction", "--map", "answer=output"),
        *("--option", "data_source=mine", "--val", "0.2", "--seed", "3"),
    )
    assert made["mapping"]["columns"] == {"question": "instruction", "answer": "output"}
    assert made["options"]["split"]["seed"] == 3


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("import", "/etc/passwd", "--name", "x"), "outside the allowed folders"),
        (("import", "no such name", "--name", "x"), "is not owner/name"),
        (("compile", "none"), "Nothing was imported into none"),
        (("check", "none"), "no data set none"),
        (("clean", "none", "--drop", "nonsense"), "No such fault: nonsense"),
        (("show", "none@3"), "no data set none@3"),
    ],
)
def test_bad_input_is_told(staff: User, argv: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("dataset", *argv)
    assert Version.objects.count() == 0


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--shape", "nonsense"), "There is no shape nonsense"),
        (("--map", "nonsense"), "write key=value"),
        (("--val", "x"), "write a share"),
        (("--val", "0"), "between 0 and 1"),
        (("--target", "dpo"), "No shape fits"),
    ],
)
def test_a_bad_mapping_is_told(rows: str, argv: tuple[str, ...], says: str) -> None:
    data("import", rows, "--name", "say")
    with pytest.raises(CommandError, match=says):
        call_command("dataset", "compile", "say", *argv)


def test_a_refused_import_leaves_no_data_set(staff: User) -> None:
    with pytest.raises(CommandError):
        call_command("dataset", "import", "/etc/passwd", "--name", "x")
    assert Dataset.objects.count() == 0


def test_the_columns_are_shown_before_they_are_mapped(home: Path, staff: User) -> None:
    rows = [{"prompt": f"{n}?", "good": "yes", "bad": "no"} for n in range(5)]
    data("import", str(factories.write_lines(home / "rows.jsonl", rows)), "--name", "say")
    found = data("columns", "say")
    assert [column["name"] for column in found["columns"]] == ["prompt", "good", "bad"]
    assert found["columns"][0] == {"name": "prompt", "holds": "text", "first": ["0?", "1?", "2?"]}
    assert found["shapes"][0]["shape"] == "preference"
    said = text("columns", "say")
    assert "good    text           yes" in said
    assert "--shape preference: The columns good and bad hold two answers." in said


def test_a_column_that_no_row_has_is_refused(rows: str) -> None:
    data("import", rows, "--name", "say")
    with pytest.raises(CommandError, match=r"no column nope. The rows have: instruction, output."):
        call_command("dataset", "compile", "say", "--map", "instruction=nope")
    assert Version.objects.count() == 0


def test_every_row_has_the_same(rows: str) -> None:
    data("import", rows, "--name", "say")
    made = data("compile", "say", "--map", "system==Be brief.")
    assert made["mapping"]["columns"]["system"] == "=Be brief."
    assert made["state"] == "ready"
