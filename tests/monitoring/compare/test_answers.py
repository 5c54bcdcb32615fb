"""The answers of several runs to the same prompts: the page and the command."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from jobs import lifecycle
from jobs.models import Job
from tests import factories
from tests.monitoring.answers.test_between import of_run
from tests.pages import HTMX, asks_for_login, queries, refuses_other_methods

URL = "/jobs/compare/answers/"
SCRIPT = "<script>alert(1)</script>"


def make(user: User, name: str) -> Job:
    now = timezone.now()
    given = {"status": "completed", "started_at": now, "ended_at": now, "attempt": 1}
    spec = factories.grpo_spec().to_json()
    return factories.make_job(user, name=name, kind="grpo", spec=spec, **given)


def write(job: Job, step: int, *groups: Sequence[Any], kind: str = "rollouts") -> Path:
    rows = [row for group in groups for row in group]
    return factories.write_lines(Path(job.run_dir, kind, f"{step}.jsonl"), rows)


@pytest.fixture
def two(user: User) -> tuple[Job, Job]:
    jobs = make(user, "one <run>"), make(user, "two")
    write(jobs[0], 1, of_run("1", "a", 0.0), of_run("1", "mine", 1.0))
    write(jobs[1], 1, of_run("2", "a", 1.0, output="longer"))
    return jobs


def query(jobs: Sequence[Job], more: str = "") -> str:
    return "&".join([*(f"job={job.pk}" for job in jobs), more])


def text(page: Client, jobs: Sequence[Job], more: str = "", **headers: str) -> str:
    response = page.get(f"{URL}?{query(jobs, more)}", headers=headers)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def plain(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


def test_the_comparison_and_the_answers_lead_here(page: Client, two: tuple[Job, Job]) -> None:
    compared = page.get(f"/jobs/compare/?{query(two)}").content.decode()
    assert f'href="{URL}?job={two[0].pk}&amp;job={two[1].pk}"' in compared
    of_one = page.get(f"/jobs/{two[0].pk}/answers/").content.decode()
    assert f'href="{URL}?job={two[0].pk}&amp;kind=rollouts"' in of_one
    sft = factories.make_job(two[0].owner)
    assert URL not in page.get(f"/jobs/compare/?{query([two[0], sft])}").content.decode()


def test_shows_the_same_prompts_with_the_scores_of_each(page: Client, two: tuple[Job, Job]) -> None:
    shown = plain(text(page, two))
    assert "Rollouts: 1 prompt that all have · 1 got better · 0 got worse" in shown
    assert "A one &lt;run&gt;" in shown
    assert "what is a? 0 of 1 1 of 1 +1 1 6" in shown
    assert "what is mine?" not in shown


def test_a_prompt_with_the_answers_of_each_run(page: Client, two: tuple[Job, Job]) -> None:
    key = re.search("prompt=([0-9a-f]{16})", text(page, two))
    assert key
    shown = text(page, two, f"prompt={key[1]}")
    assert "Answers of each run to one prompt" in shown
    assert ">longer</div>" in shown
    assert "Step 1 · mean score 1 · +1 from A · 6 characters" in plain(shown)
    assert "None of these runs has this prompt" in text(page, two, f"prompt={'0' * 16}")


def test_of_rollouts_the_last_step_in_common_is_shown(page: Client, two: tuple[Job, Job]) -> None:
    write(two[0], 3, of_run("1", "three", 0.0))
    write(two[0], 2, of_run("1", "b", 0.0))
    write(two[1], 2, of_run("2", "b", 0.0))
    write(two[1], 5, of_run("2", "five", 0.0))
    shown = text(page, two)
    assert "what is b?" in shown
    assert "different steps" not in shown
    assert shown.count('placeholder="2"') == 2
    named = text(page, two, f"step_{two[0].pk}=3&step_{two[1].pk}=9")
    assert "the runs are shown at different steps" in named
    assert "These steps have no prompt in common" in named
    assert "There are no answers of step 9: step 5 is shown, the nearest that has any." in named


def test_validation_comes_first_with_the_last_of_each(page: Client, two: tuple[Job, Job]) -> None:
    for job, step in zip(two, (4, 6), strict=True):
        write(job, 0, of_run("0", "early", 0.0), kind="validation")
        write(job, step, of_run(f"{job.pk}", "held out", 0.0), kind="validation")
    shown = text(page, two)
    assert "what is held out?" in shown
    assert "the runs are shown at different steps" in shown
    assert "what is a?" in text(page, two, "kind=rollouts")


def test_a_run_without_answers_is_left_out_and_said(page: Client, two: tuple[Job, Job]) -> None:
    sft = factories.make_job(two[0].owner, name="sft")
    shown = text(page, [sft, *two])
    assert "sft is left out." in shown
    assert "asks the model for no answers" in shown
    assert "what is a?" in shown
    assert "Choose a second run with answers" in text(page, [sft, two[0]])
    assert "Choose two runs with answers" in text(page, [])


def test_what_a_run_says_of_lost_answers_stands_there(page: Client, two: tuple[Job, Job]) -> None:
    said = "Step 1: 1 of 6 answers failed."
    lifecycle.record(two[1], "answers_lost", message=said, source="run", step=1, lost=1, of=6)
    assert f"B, two: {said}" in text(page, two)


def test_someone_elses_run_is_left_out_and_said(
    page: Client, two: tuple[Job, Job], other: User
) -> None:
    theirs = make(other, "theirs")
    write(theirs, 1, of_run("3", "a", 1.0, output="their answer"))
    shown = text(page, [*two, theirs])
    assert f"no such job or it is not yours: {theirs.pk}." in shown
    key = re.search("prompt=([0-9a-f]{16})", shown)
    assert key
    assert "their answer" not in text(page, [*two, theirs], f"prompt={key[1]}")
    assert 'name="step_' in shown
    assert f'name="step_{theirs.pk}"' not in shown


def test_more_runs_than_fit_are_left_out_and_said(page: Client, user: User) -> None:
    jobs = [make(user, f"run {n}") for n in range(9)]
    for job in jobs:
        write(job, 1, of_run(f"{job.pk}", "a", 0.0))
    shown = text(page, jobs, f"other={jobs[7].pk}&sort=-mean:8")
    assert "1 more was asked for: at most 8 are compared at once." in shown
    assert "Score H" in shown


def test_what_a_model_writes_is_inert(page: Client, two: tuple[Job, Job]) -> None:
    for job in two:
        write(job, 1, of_run(f"{job.pk}", SCRIPT, SCRIPT, output=SCRIPT))
    shown = text(page, two)
    key = re.search("prompt=([0-9a-f]{16})", shown)
    assert key
    for found in (shown, text(page, two, f"prompt={key[1]}")):
        assert "&lt;script&gt;alert(1)" in found
        assert SCRIPT not in found


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("q=(&regex=on", "This is no regular expression"),
        ("q=%00", "Null characters are not allowed."),
        ("q=" + "x" * 201, "at most 200 characters"),
        ("kind=x", "Select a valid choice."),
        ("only=x", "Select a valid choice."),
        ("other=x", "Select a valid choice."),
        ("sort=mean:9", "Sort by change, mean:N or length:N"),
        ("sort=mean", "Sort by change, mean:N or length:N"),
        ("page=0", "greater than or equal to 1"),
        ("prompt=../x", "Enter a valid value."),
        ("step=-1", "greater than or equal to 0"),
        ("step=" + "9" * 30, "less than or equal to"),
    ],
)
def test_bad_input_is_said_and_kept(
    page: Client, two: tuple[Job, Job], more: str, said: str
) -> None:
    third = make(two[0].owner, "three")
    shown = text(page, [*two, third], more.replace("step=", f"step_{two[0].pk}="))
    assert said in shown
    assert "Nothing is shown until what is marked above is right." in shown


@pytest.mark.parametrize("odd", ["\ud800", ["\udfff"], {"\ud800": "\ud800"}, "\0", None, 1e999])
def test_any_value_of_any_key_is_shown(page: Client, two: tuple[Job, Job], odd: Any) -> None:
    row = {"input": odd, "output": odd, "gts": odd, "score": odd, "part": odd, "uid": odd}
    for job in two:
        write(job, 1, [row, {"input": odd}])
    key = re.search("prompt=([0-9a-f]{16})", text(page, two))
    assert key
    assert text(page, two, f"prompt={key[1]}").count('aria-label="Answer 2"') == 2


def test_a_file_that_cannot_be_read_is_said(
    page: Client, two: tuple[Job, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    from monitoring.page import answers
    from platform_site.bounded.limits import Limits

    monkeypatch.setattr(answers, "LIMITS", Limits(seconds=0.5))
    for job in two:
        write(job, 1, of_run(f"{job.pk}", "a" * 60, 0.0))
    assert "The answers could not be searched." in text(page, two, "q=(a%2B)%2B$b&regex=on")


def test_htmx_gets_the_table_alone(page: Client, two: tuple[Job, Job]) -> None:
    part = text(page, two, "sort=-change", **HTMX)
    assert "<h1>" not in part
    assert 'aria-sort="descending"' in part


def test_takes_the_same_queries_for_one_prompt_and_three(
    page: Client, two: tuple[Job, Job]
) -> None:
    one = queries(page, f"{URL}?{query(two)}")
    for job in two:
        write(job, 1, *(of_run(f"{job.pk}", name, 0.0, 1.0) for name in "abc"))
    assert queries(page, f"{URL}?{query(two)}") == one


def test_a_page_of_long_answers_stays_small(page: Client, two: tuple[Job, Job]) -> None:
    long = "many <words> & signs of a model, to no end. " * 1_000
    for job in two:
        write(
            job, 1, *(of_run(f"{job.pk}", f"{n} {long}", *range(9), output=long) for n in range(30))
        )
    key = re.search("prompt=([0-9a-f]{16})", text(page, two))
    assert key
    for more in ("", f"prompt={key[1]}"):
        assert len(page.get(f"{URL}?{query(two, more)}").content) < 1024 * 1024


def test_anonymous(db: None) -> None:
    assert asks_for_login(URL)


def test_wrong_method(page: Client) -> None:
    assert refuses_other_methods(page, URL, "get")


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    call_command("answers", *words, "--json")
    return json.loads(capsys.readouterr().out)


def test_the_command_lays_runs_side_by_side(
    two: tuple[Job, Job], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (str(job.pk) for job in two)
    found = said(capsys, one, "--with", other)
    assert (found["jobs"], found["steps"]) == ([two[0].pk, two[1].pk], [1, 1])
    assert (found["shared"], found["better"], found["runs"][0]["alone"]) == (1, 1, 1)
    [row] = found["shown"]
    assert (row["text"], row["change"]) == ("what is a?", 1.0)
    assert [figure["mean"] for figure in row["runs"]] == [0.0, 1.0]
    whole = said(capsys, one, "--with", f"{other}@1", "--prompt", row["prompt"])
    assert [[one["text"] for one in run["shown"]] for run in whole["runs"]] == [["x"], ["longer"]]
    assert said(capsys, one, "--with", other, "--only", "worse")["shown"] == []
    call_command("answers", one, "--with", other)
    assert "1 of 1 prompts that all have" in capsys.readouterr().out
    call_command("answers", one, "--with", other, "--prompt", row["prompt"])
    assert f"--- B {other}, answer 1, score 1\nlonger" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--with", "x"], "--with x: write the number of a job, or ID@STEP."),
        (["--with", "99999"], "There is no job 99999"),
        (["--with", "{0}"], "Name one to 7 other jobs."),
        (["--with", "{1}@x"], "Enter a whole number."),
        (["--with", "{1}", "--each"], "--each does not go with --with."),
        (["--with", "{1}", "--only", "cut"], "Select a valid choice."),
        (["--with", "{1}", "--validation"], "The run wrote no answers of validation."),
        (["--with", "{1}", "--prompt", "0" * 16], "None of the jobs has a prompt 0000"),
        (["--only", "better"], "Select a valid choice."),
    ],
)
def test_the_command_refuses(two: tuple[Job, Job], words: list[str], why: str) -> None:
    words = [word.format(*(job.pk for job in two)) for word in words]
    with pytest.raises(CommandError, match=re.escape(why)):
        call_command("answers", str(two[0].pk), *words)
