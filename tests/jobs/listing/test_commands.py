"""The list and its marks by command."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from jobs.listing import marks
from jobs.models import Job
from tests import factories

SCORE = "val-core/x/acc"


@pytest.fixture
def two(staff: User) -> list[Job]:
    jobs = [
        factories.make_job(staff, name=name, spec=factories.sft_spec(lr=lr).to_json())
        for name, lr in (("low", 0.25), ("high", 0.5))
    ]
    factories.add_points(jobs[0], SCORE, {1: 0.9, 2: 0.5})
    return jobs


def text(*argv: str) -> str:
    out = io.StringIO()
    call_command(*argv, stdout=out)
    return out.getvalue()


def data(*argv: str) -> Any:
    return json.loads(text(*argv, "--json"))


def names(*argv: str) -> list[str]:
    return [job["name"] for job in data("jobs", *argv)]


def test_the_list_takes_the_same_filter_sort_and_columns(two: list[Job], staff: User) -> None:
    marks.tag(two[0], ["good"])
    assert names() == ["high", "low"]
    assert names("--where", "val-core > 0.4 and lr < 1") == ["low"]
    assert names("--sort", "lr") == ["low", "high"]
    assert names(f"--sort=-{SCORE}:best") == ["low", "high"]
    [found] = data("jobs", "--where", "tag = good", "--column", "lr", "--column", f"{SCORE}:best")
    assert found["columns"] == {"lr": 0.25, f"{SCORE}:best": 0.9}
    assert (found["tags"], found["note"], found["pinned"]) == (["good"], "", False)
    line = text("jobs", "--where", "tag = good", "--column", "lr", "--column", f"{SCORE}:last")
    assert line.split()[-2:] == ["lr=0.25", f"{SCORE}=0.5"] or line.endswith(
        f"lr=0.25  {SCORE}:last=0.5\n"
    )
    marks.pin(two[0], staff, on=True)
    assert names() == ["low", "high"]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--where", "lr = fast"], "fast is no value of lr: a number.*at character 6 of"),
        (["--sort", "nonsense"], "There is no column nonsense"),
        (["--column", "nonsense"], "There is no column nonsense"),
        (["--view", "nonsense"], "There is no view nonsense"),
    ],
)
def test_what_is_wrong_is_said(two: list[Job], argv: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        text("jobs", *argv)


def test_tags_notes_and_pins(two: list[Job], staff: User) -> None:
    numbers = [str(job.pk) for job in two]
    assert [job["tags"] for job in data("tag", *numbers, "--add", "a b")] == [["a", "b"]] * 2
    assert data("tag", numbers[0], "--remove", "a")[0]["tags"] == ["b"]
    with pytest.raises(CommandError, match="A tag is one word"):
        text("tag", numbers[0], "--add", "a=b")
    assert data("note", numbers[0], "well done")["note"] == "well done"
    assert text("note", numbers[0], "").strip() == "No note."
    with pytest.raises(CommandError, match="at most 4000"):
        text("note", numbers[0], "x" * 4001)
    assert data("pin", *numbers)[0]["pinned"] is True
    assert text("pin", numbers[0], "--off").strip() == f"Job {numbers[0]} is not pinned."
    assert [pin.job for pin in staff.pinned_jobs.all()] == [two[1]]


def test_views(two: list[Job]) -> None:
    saved = data("view", "save", "low ones", "--where", "lr < 0.3", "--column", "lr")
    assert saved == [{"name": "low ones", "query": "where=lr+%3C+0.3&column=lr"}]
    [found] = data("jobs", "--view", "low ones")
    assert (found["name"], found["columns"]) == ("low", {"lr": 0.25})
    with pytest.raises(CommandError, match="at character 1"):
        text("view", "save", "x", "--where", "nonsense = 1")
    with pytest.raises(CommandError, match="Name the view"):
        text("view", "delete")
    assert text("view", "delete", "low ones").strip() == "There are no views."
